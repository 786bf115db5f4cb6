import type { Departure } from "@nve/switch-agent/nve";
import { beforeEach, expect, test } from "vitest";
import { a, Bench, b, groups, infoOf, port, red, tor2, vnicOf, vniOf } from "./nve-bench.ts";

const vnic = vnicOf("vm1");
const remoteA = { is: "remote", vtep: tor2.vtep };
let nve: Bench;
beforeEach(() => {
  nve = new Bench(port("swp1"), port("swp2"));
  nve.feed({ on: "nva", connected: true });
});

const departure = (phase: "forwarding" | "settled"): Departure => ({
  vnic,
  phase,
  addresses: [{ vn: red, mac: a }],
  to: tor2,
  mostMs: 60_000,
});
const tell = (...departures: Departure[]) => nve.feed({ on: "departures", all: false, departures });
const placeOf = (mac = a) => nve.intents.find((one) => one.is === "mac" && one.mac === mac);

test("M5: what comes for one that has moved on is forwarded, whatever its station says, until it is settled", () => {
  nve.ask("vm1", "swp1", groups([red, a]));
  nve.ask("vm2", "swp1", groups([red, b]));
  tell(departure("forwarding"));
  expect(placeOf()).toMatchObject({ at: remoteA, moved: true });
  nve.ask("vm1", "swp1", groups([red, a]), { suspended: true }); // it is the source, and says so
  expect(placeOf()).toMatchObject({ at: remoteA, moved: true });
  tell(departure("settled"));
  expect(placeOf()).toMatchObject({ at: remoteA });
  expect(placeOf()).not.toHaveProperty("moved");
  tell({ vnic, phase: "over" });
  expect(placeOf()).toMatchObject({ at: { is: "local" } });
});

test("M2: the NVA hears of a claim after the dataplane has the place, and that it forwards after it does", () => {
  nve.ask("vm1", "swp1", groups([red, a]));
  const order = nve.effects.map((effect) => effect.do);
  expect(order.indexOf("intents")).toBeLessThan(order.indexOf("report"));
  tell(departure("forwarding"));
  expect(nve.effects.map((effect) => effect.do)).toEqual(["intents", "departed"]);
  expect(nve.did("departed")).toEqual([{ do: "departed", vnics: [vnic] }]);
  tell(departure("settled"));
  expect(nve.did("departed")).toEqual([]);
});

test("M5: with its last VNIC gone it stays in the VN as long as it forwards, and nothing is left afterwards", () => {
  nve.ask("vm1", "swp1", groups([red, a]));
  tell(departure("forwarding"));
  nve.release("vm1");
  expect(placeOf()).toMatchObject({ at: remoteA, moved: true });
  expect(nve.claims.size).toBe(0);
  expect([...nve.joined, ...nve.watched]).toEqual([red, red]);
  tell({ vnic, phase: "over" });
  expect(nve.intents).toEqual([]);
  expect([nve.joined.size, nve.watched.size]).toEqual([0, 0]);
  expect([...nve.core.infos, ...nve.core.watched()]).toEqual([]);
});

test("M5: one that had left before the arrival is forwarded too: the VN is entered anew", () => {
  nve.ask("vm1", "swp1", groups([red, a]));
  nve.release("vm1");
  tell(departure("forwarding"));
  expect([...nve.watched]).toEqual([red]);
  expect(nve.did("departed")).toEqual([]); // not yet
  nve.feed({ on: "vn", info: infoOf(red) });
  expect(nve.did("departed")).toMatchObject([{ vnics: [vnic] }]);
  expect(placeOf()).toMatchObject({ vni: vniOf(red), at: remoteA, moved: true });
  nve.feed({ on: "departures", all: true, departures: [] });
  expect([nve.intents.length, nve.watched.size]).toEqual([0, 0]);
});

test("M2: one that is associated anew is back, whatever was said of its departure before", () => {
  nve.ask("vm1", "swp1", groups([red, a]));
  tell(departure("forwarding"));
  nve.release("vm1");
  nve.ask("vm1", "swp2", groups([red, a]));
  expect(placeOf()).toMatchObject({ at: { is: "local", port: "swp2" } });
  tell(departure("settled")); // late
  expect(placeOf()).toMatchObject({ at: { is: "local", port: "swp2" } });
});

test("V1: one that was suspended and is resumed is back", () => {
  nve.ask("vm1", "swp1", groups([red, a]));
  nve.ask("vm1", "swp1", groups([red, a]), { suspended: true });
  tell(departure("forwarding"));
  nve.ask("vm1", "swp1", groups([red, a]));
  expect(placeOf()).toMatchObject({ at: { is: "local", port: "swp1" } });
});

test("another VNIC that has its MAC here is served: a departure is of its VNIC", () => {
  nve.ask("vm2", "swp1", groups([red, a]));
  tell(departure("forwarding"));
  expect(placeOf()).toMatchObject({ at: { is: "local" }, vnic: vnicOf("vm2") });
});

test("H23, H24: the NVA is told who is prepared here, and when not any more; it is claimed when it is active", () => {
  nve.ask("vm1", "swp1", groups([red, a]), { mode: "pre-associate-rr", migrating: true });
  expect(nve.granted?.entries).toHaveLength(1);
  const prepared = {
    vnic,
    hypervisor: "server1",
    port: "swp1",
    migrating: true,
    addresses: [{ vn: red, mac: a }],
  };
  expect(nve.did("report")).toMatchObject([{ claims: [], prepared: [prepared] }]);
  expect([...nve.watched]).toEqual([red]); // it knows the VN before the VM is there
  expect(nve.core.report().prepared).toEqual([prepared]);
  nve.ask("vm1", "swp1", groups([red, a]));
  expect(nve.did("report")).toMatchObject([{ claims: [{ mac: a }], unprepared: [vnic] }]);
  nve.release("vm1");
  expect(nve.core.report()).not.toHaveProperty("prepared");
});

test("V1: a reservation that ends leaves nothing behind", () => {
  nve.ask("vm1", "swp1", groups([red, a]), { mode: "pre-associate-rr" });
  nve.release("vm1");
  expect(nve.did("report")).toMatchObject([{ claims: [], unprepared: [vnic] }]);
  expect([...nve.core.vsis, ...nve.core.infos, ...nve.core.watched(), ...nve.intents]).toEqual([]);
});

test("H20: between two ports of one NVE, prepared or not, the NVA is told nothing; only the place is another", () => {
  nve.ask("vm1/1", "swp1", groups([red, a]), { vnic });
  const reports: unknown[] = [];
  const step = (run: () => unknown): void => {
    run();
    reports.push(...nve.did("report"));
  };
  step(() => nve.ask("vm1/2", "swp2", groups([red, a]), { vnic, mode: "pre-associate-rr" }));
  expect(placeOf()).toMatchObject({ at: { is: "local", port: "swp1" } });
  step(() => nve.ask("vm1/2", "swp2", groups([red, a]), { vnic, hypervisor: "server2" }));
  expect(placeOf()).toMatchObject({ at: { is: "local", port: "swp2" } });
  step(() => nve.release("vm1/1"));
  expect(placeOf()).toMatchObject({ at: { is: "local", port: "swp2" } });
  expect(reports).toEqual([]);
});
