import { type Filters, Mac, Uuid } from "@nve/protocol-spec";
import { expect, test } from "vitest";
import { request } from "./station.ts";
import { pass, settle, tor } from "./tor.ts";

const vnic = (n: number) => Uuid(`00000000-0000-4000-8000-${String(n).padStart(12, "0")}`);
const inVn = (groupId: number, n = 1): Filters => ({
  by: "group-mac-vid",
  entries: [{ groupId, mac: Mac(`02:00:00:00:00:${n.toString(16).padStart(2, "0")}`) }],
});

test("V10: of one port 16 decisions at a time are asked of the NVA, and the other port has its turn", async () => {
  const it = tor();
  it.nva.connect();
  for (const station of it.stations) station.lldp(true);
  await pass(it.clock, 5);
  let open = (): void => {};
  it.nva.gate = new Promise((resolve) => {
    open = resolve;
  });
  for (let n = 0; n < 100; n++) it.stations[0].ask(request("associate", vnic(n), inVn(5000 + n)));
  it.stations[1].ask(request("associate", vnic(200), inVn(5200)));
  await pass(it.clock, 20);
  expect(it.nva.admitted.map(({ port }) => port).sort()).toEqual([
    ...Array.from({ length: 16 }, () => "swp1"),
    "swp2",
  ]);
  open();
  await pass(it.clock, 2000, 5);
  expect(it.nva.admitted).toHaveLength(101);
  expect(it.agent.core.vsis.size).toBe(101);
});

test("what was taken back while it stood in line is not asked of the NVA", async () => {
  const it = tor();
  it.nva.connect();
  const [station] = it.stations;
  station.lldp(true);
  await pass(it.clock, 5);
  let open = (): void => {};
  it.nva.gate = new Promise((resolve) => {
    open = resolve;
  });
  for (let n = 0; n < 20; n++) station.ask(request("associate", vnic(n), inVn(5000 + n)));
  for (let n = 0; n < 20; n++) station.ask(request("de-associate", vnic(n), inVn(5000 + n)));
  await pass(it.clock, 20);
  open();
  await settle();
  await pass(it.clock, 500);
  expect(it.nva.admitted).toHaveLength(16);
  expect(it.agent.core.vsis.size).toBe(0);
  expect(it.agent.core.ports.get("swp1")?.pool.lent.size).toBe(0);
});

test("V10: VNICs of one VN that fall silent together go in few steps, and leave nothing", async () => {
  const it = tor();
  it.nva.connect();
  const [station] = it.stations;
  station.lldp(true);
  await pass(it.clock, 5);
  const count = 200;
  for (let n = 0; n < count; n++) station.ask(request("associate", vnic(n), inVn(5000, n)));
  await pass(it.clock, 2000, 5);
  expect(it.agent.core.vsis.size).toBe(count);
  const before = it.nva.reports.length;
  it.clock.advance(60_000); // they were answered within a second or two
  await settle();
  const withdrawals = it.nva.reports.slice(before);
  expect(withdrawals.flatMap(({ withdrawn }) => withdrawn)).toHaveLength(count);
  expect(withdrawals.length).toBeLessThan(count / 4);
  expect(it.agent.core.vsis.size).toBe(0);
  await settle();
  expect(it.dataplane.intents.size).toBe(0);
  expect(it.agent.core.ports.get("swp1")?.pool.lent.size).toBe(0);
  expect(it.nva.watched.size).toBe(0);
});
