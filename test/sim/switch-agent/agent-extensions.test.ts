import {
  type ExtensionKind,
  IpAddress,
  IpPrefix,
  labelTlv,
  nameTlvs,
  placeholder,
  prefixTlvs,
  Uuid,
  VdpError,
  type VdpTlv,
  VnId,
  vsiIdOf,
} from "@nve/protocol-spec";
import { beforeEach, describe, expect, test } from "vitest";
import { addresses, request } from "./station.ts";
import { pass, type Tor, tor } from "./tor.ts";
import { a, b, group, ok, refusal, vm1, vm2 } from "./vsis.ts";

let it: Tor;
beforeEach(async () => {
  it = tor();
  it.nva.connect();
  it.stations[0].lldp(true);
  await pass(it.clock, 5);
});

describe("H26: why, in words", () => {
  test("beside a refusal and beside our own De-Associate, to a station that reads reasons", async () => {
    const [station] = it.stations;
    station.lldp(true, "reasons");
    station.ask(request("associate", vm1, group([6001, a])));
    await pass(it.clock, 30);
    expect(station.reasons).toEqual(["5 no VN 6001"]);
    station.ask(request("associate", vm1, group([5001, a])));
    await pass(it.clock, 30);
    it.nva.deleteVn(5001);
    await pass(it.clock, 30);
    expect(station.last?.type).toBe("de-associate");
    expect(station.reasons).toEqual(["5 no VN 6001", "0 VN 5001 was deleted"]);
  });

  test("GroupIDs that were not announced", async () => {
    const [station] = it.stations;
    station.lldp(false, "reasons");
    station.ask(request("associate", vm1, group([5001, a])));
    await pass(it.clock, 30);
    expect(station.reasons).toEqual([expect.stringMatching(/^1 the station uses GroupIDs/)]);
  });

  test("a keepalive that does not come", async () => {
    const [station] = it.stations;
    station.lldp(true, "reasons");
    station.ask(request("associate", vm1, group([5001, a])));
    await pass(it.clock, 20_000, 100);
    expect(station.reasons).toEqual(["0 no keepalive has come from the station"]);
  });

  test("not to a station that has not announced it", async () => {
    const [station] = it.stations;
    station.ask(request("associate", vm1, group([6001, a])));
    await pass(it.clock, 30);
    expect(station.last).toMatchObject(refusal(VdpError.invalidVidGroupOrMac));
    expect(station.reasons).toEqual([]);
  });

  test("many at once go over as many ECPDUs as they need", async () => {
    const [station] = it.stations;
    station.lldp(true, "reasons");
    const vms = Array.from({ length: 25 }, (_, i) =>
      Uuid(`00000000-0000-4000-8000-0000000001${String(i).padStart(2, "0")}`),
    );
    station.ask(...vms.map((vm) => request("associate", vm, group([6001, a]))));
    await pass(it.clock, 60);
    expect(station.answers).toHaveLength(25);
    expect(station.reasons).toHaveLength(25);
    expect(station.heard.length).toBeGreaterThan(1);
  });
});

describe("H4: a VN by its name", () => {
  const name = Uuid("cccccccc-0000-4000-8000-000000005001");
  const held = placeholder(0);
  const byName = (...vid: [] | [number]) => group([held, a, ...vid]);
  const names = (vnic: Uuid): VdpTlv[] =>
    nameTlvs({ vsiId: vsiIdOf(vnic), entries: [{ placeholder: held, name }] });

  test("is answered in the station's own words, with the VN ID; and by that it is kept alive", async () => {
    const [station] = it.stations;
    it.nva.names.set(name, VnId(5001));
    const ip = IpAddress("10.0.0.1");
    station.ask(
      request("associate", vm1, byName()),
      ...names(vm1),
      ...addresses(vm1, { mac: a, ip }),
    );
    await pass(it.clock, 30);
    expect(station.last).toMatchObject({ status: ok, filters: byName(2) });
    expect(station.named).toEqual([{ placeholder: held, name, vn: 5001 }]);
    expect(it.nva.reports).toMatchObject([{ claims: [{ vn: 5001, mac: a, ips: [ip] }] }]);
    const asked = it.nva.admitted.length;
    station.ask(request("associate", vm1, group([5001, a, 2])));
    await pass(it.clock, 30);
    expect(station.last).toMatchObject({ status: ok, filters: group([5001, a, 2]) });
    expect(it.nva.admitted.length, "a keepalive is not decided again").toBe(asked);
  });

  test("asked again by name, its answer was lost: the same answer", async () => {
    const [station] = it.stations;
    it.nva.names.set(name, VnId(5001));
    for (let i = 0; i < 2; i++) {
      station.ask(request("associate", vm1, byName()), ...names(vm1));
      await pass(it.clock, 30);
      expect(station.last).toMatchObject({ status: ok, filters: byName(2) });
    }
    expect(station.named).toHaveLength(2);
    expect(it.agent.core.vsis.size).toBe(1);
  });

  test("that nobody has is refused, and nothing is left", async () => {
    const [station] = it.stations;
    station.ask(request("associate", vm1, byName()), ...names(vm1));
    await pass(it.clock, 30);
    expect(station.last).toMatchObject(refusal(VdpError.invalidVidGroupOrMac));
    expect(it.agent.refusals.newestFirst).toMatchObject([{ reason: `no VN ${name}`, vns: [] }]);
    expect([it.agent.core.vsis.size, it.agent.core.infos.size]).toEqual([0, 0]);
  });

  test("a placeholder that no name stands behind is refused", async () => {
    const [station] = it.stations;
    station.ask(request("associate", vm1, byName()));
    await pass(it.clock, 30);
    expect(station.last).toMatchObject(refusal(VdpError.invalidVidGroupOrMac));
    expect(it.nva.admitted).toEqual([]);
  });

  test("the station leaves while the NVA is asked: nothing is left of it", async () => {
    const [station] = it.stations;
    it.nva.names.set(name, VnId(5001));
    let open = (): void => {};
    it.nva.gate = new Promise((resolve) => {
      open = resolve;
    });
    station.ask(request("associate", vm1, byName()), ...names(vm1));
    await pass(it.clock, 10);
    station.ask(request("de-associate", vm1, byName()));
    await pass(it.clock, 10);
    open();
    await pass(it.clock, 30);
    expect(station.answers.map(({ type }) => type)).toEqual(["de-associate"]);
    expect([it.agent.core.vsis.size, it.nva.reports.length]).toEqual([0, 0]);
  });

  test("H25: the NVA away, a name that is known here is served, another is not", async () => {
    const [station] = it.stations;
    it.nva.names.set(name, VnId(5001));
    station.ask(request("associate", vm1, byName()), ...names(vm1));
    await pass(it.clock, 30);
    it.nva.connect(false);
    station.ask(request("associate", vm2, group([held, b])), ...names(vm2));
    await pass(it.clock, 30);
    expect(station.last).toMatchObject({ status: ok, filters: group([held, b, 2]) });
    const other = { placeholder: held, name: Uuid("cccccccc-0000-4000-8000-000000005002") };
    const vm3 = Uuid("00000000-0000-4000-8000-000000000003");
    const asked = nameTlvs({ vsiId: vsiIdOf(vm3), entries: [other] });
    station.ask(request("associate", vm3, group([held, b])), ...asked);
    await pass(it.clock, 3000, 100);
    expect(station.last).toMatchObject(refusal(VdpError.managerUnreachable));
  });
});

describe("MTU of the VNs", () => {
  const attached = async (...reads: ExtensionKind[]) => {
    const [station] = it.stations;
    station.lldp(true, ...reads);
    station.ask(request("associate", vm1, group([5001, a], [5002, b])));
    await pass(it.clock, 30);
    return station;
  };

  test("the NVA's, and no more than the underlay leaves; again in the answer to a keepalive", async () => {
    it.nva.mtus.set(5001, 1400);
    it.nva.mtus.set(5002, 9000);
    it.dataplane.mtu = 1450;
    const station = await attached("mtus");
    const told = [
      { vn: 5001, mtu: 1400 },
      { vn: 5002, mtu: 1450 },
    ];
    expect(station.mtus).toEqual(told);
    it.dataplane.mtu = 1300;
    station.ask(request("associate", vm1, group([5001, a, 2], [5002, b, 3])));
    await pass(it.clock, 30);
    expect(station.mtus).toEqual(told.map(({ vn }) => ({ vn, mtu: 1300 })));
  });

  test("is not told where it is not known, nor to a station that does not read it", async () => {
    it.nva.mtus.set(5002, 1400);
    expect((await attached("mtus")).mtus).toEqual([{ vn: 5002, mtu: 1400 }]);
    it = tor();
    it.nva.connect();
    it.nva.mtus.set(5002, 1400);
    expect((await attached("reasons")).mtus).toBeUndefined();
  });
});

describe("labels", () => {
  const labels = (hypervisor: string, vm: string) =>
    labelTlv({ vsiId: vsiIdOf(vm1), hypervisor, vm });

  test("say whose a VSI is, to people and to the NVA", async () => {
    const [station] = it.stations;
    station.ask(request("associate", vm1, group([5001, a])), labels("srv/7", "db \u001b[31m1"));
    await pass(it.clock, 30);
    expect(it.nva.reports).toMatchObject([{ claims: [{ hypervisor: "srv-7" }] }]);
    expect([...it.agent.core.vsis.values()]).toMatchObject([{ ask: { vm: "db  [31m1" } }]);
  });

  test("that are empty say nothing: LLDP does", async () => {
    const [station] = it.stations;
    station.ask(request("associate", vm1, group([5001, a])), labels("", ""));
    await pass(it.clock, 30);
    expect(it.nva.reports).toMatchObject([{ claims: [{ hypervisor: "server1" }] }]);
    expect([...it.agent.core.vsis.values()][0]?.ask.vm).toBeUndefined();
  });
});

test("H8, H14: prefixes beside a request are its VSI's, with its addresses the whole set", async () => {
  const [station] = it.stations;
  const ip = IpAddress("10.0.0.1");
  const prefix = { mac: a, ip: IpPrefix("10.1.0.0/16") };
  const prefixes = prefixTlvs({ vsiId: vsiIdOf(vm1), entries: [prefix] });
  const asked = request("associate", vm1, group([5001, a]));
  station.ask(asked, ...addresses(vm1, { mac: a, ip }), ...prefixes);
  await pass(it.clock, 30);
  expect(it.nva.reports).toMatchObject([{ claims: [{ mac: a, ips: [ip, prefix.ip] }] }]);
  station.ask(request("associate", vm1, group([5001, a, 2])), ...addresses(vm1, { mac: a, ip }));
  await pass(it.clock, 30);
  expect(it.nva.reports.at(-1)).toMatchObject({ claims: [{ mac: a, ips: [ip] }] });
  station.ask(request("associate", vm1, group([5001, a, 2])), ...prefixes);
  await pass(it.clock, 30);
  expect(it.nva.reports.at(-1)).toMatchObject({ claims: [{ mac: a, ips: [prefix.ip] }] });
});
