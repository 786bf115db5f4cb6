import {
  hashOfSet,
  IpPrefix,
  Mac,
  macTlvs,
  type Organizational,
  partsOfSet,
  prefixTlvs,
  setTlv,
  type Uuid,
  VdpError,
  type VdpTlv,
  VnId,
  vsiIdOf,
} from "@nve/protocol-spec";
import fc from "fast-check";
import { beforeEach, describe, expect, test } from "vitest";
import { addresses, request } from "./station.ts";
import { pass, type Tor, tor } from "./tor.ts";
import { a, b, group, ok, refusal, vm1, vm2 } from "./vsis.ts";

const vn = VnId(5001);
const macOf = (n: number): Mac => Mac(`02:00:00:01:${hex(n >> 8)}:${hex(n & 255)}`);
const hex = (n: number): string => n.toString(16).padStart(2, "0");

/** A set as a station says it: its parts, and its name. */
type Said = { parts: VdpTlv[][]; name: VdpTlv };

function setOf(vsi: Uuid, tlvs: readonly Organizational[]): Said {
  const vsiId = vsiIdOf(vsi);
  const cut = partsOfSet(tlvs, 1400);
  const hash = hashOfSet(cut);
  const parts = cut.map((part, i) => [
    setTlv({ vsiId, hash, part: i + 1, parts: cut.length }),
    ...part,
  ]);
  return { parts, name: setTlv({ vsiId, hash, part: 0, parts: cut.length }) };
}

const prefixSet = (count: number, vsi = vm1, from = 0): Said =>
  setOf(
    vsi,
    prefixTlvs({
      vsiId: vsiIdOf(vsi),
      entries: Array.from({ length: count }, (_, i) => ({
        vn,
        mac: a,
        ip: IpPrefix(`10.${(from + i) >> 8}.${(from + i) & 255}.0/24`),
      })),
    }),
  );

let it: Tor;
beforeEach(async () => {
  it = tor("[{ name: swp1, maxAddresses: 1000 }, { name: swp2 }]");
  it.nva.connect();
  it.stations[0].lldp(true, "reasons");
  await pass(it.clock, 5);
});

/** The request that names a set. */
const asking = ({ name }: Said, vsi = vm1, mac = a): VdpTlv[] => [
  request("associate", vsi, group([vn, mac])),
  name,
];

async function sayAll({ parts }: Said): Promise<void> {
  for (const part of parts) it.stations[0].ask(...part);
  await pass(it.clock, 10);
}

async function ask(said: Said, vsi = vm1, mac = a): Promise<void> {
  it.stations[0].ask(...asking(said, vsi, mac));
  await pass(it.clock, 40);
}

async function attach(said: Said): Promise<void> {
  await ask(said);
  await sayAll(said);
  await ask(said);
}

const ipsOf = (mac: Mac): number =>
  it.agent.core.locals(vn).flatMap(({ macs }) => [...(macs.get(mac) ?? [])]).length;
const counter = (name: "setsAsked" | "setsIncomplete" | "setPartsIn" | "setPartsSkipped") =>
  it.agent.ports.get("swp1")?.vdp[name];

describe("H8: a set of addresses that is longer than one ULPDU", () => {
  test("is asked for, and decided when all parts are there", async () => {
    const [station] = it.stations;
    const said = prefixSet(1000);
    expect(said.parts.length).toBeGreaterThan(10);
    await ask(said);
    expect(station.answers).toEqual([]);
    expect(station.asked).toMatchObject([{ part: 0, parts: said.parts.length }]);
    await sayAll(said);
    expect(station.answers).toEqual([]);
    await ask(said);
    expect(station.last).toMatchObject({ type: "associate", status: ok });
    expect(ipsOf(a)).toBe(1000);
  });

  test("is named in keepalives, and not asked for again", async () => {
    const said = prefixSet(500);
    await attach(said);
    for (let i = 0; i < 3; i++) {
      await pass(it.clock, 5000, 100);
      await ask(said);
    }
    expect(it.stations[0].answers.map(({ status }) => status)).toEqual([ok, ok, ok, ok]);
    expect(counter("setsAsked")).toBe(1);
    expect(ipsOf(a)).toBe(500);
  });

  test("comes in any order, and in part twice", async () => {
    const said = prefixSet(450);
    const all = [...said.parts.keys()];
    const order = fc.shuffledSubarray(all, { minLength: all.length });
    await fc.assert(
      fc.asyncProperty(
        order,
        fc.array(fc.nat(all.length - 1), { maxLength: 5 }),
        async (first, again) => {
          await ask(said);
          for (const i of [...again, ...first]) it.stations[0].ask(...(said.parts[i] ?? []));
          await ask(said);
          expect(it.stations[0].last).toMatchObject({ type: "associate", status: ok });
          expect(ipsOf(a)).toBe(450);
          it.stations[0].ask(request("de-associate", vm1, group([vn, a])));
          await pass(it.clock, 500, 10); // what a port takes in is so much each second
        },
      ),
      { numRuns: 20 },
    );
  });

  test("is asked for again while a part is missing, and what came is not needed twice", async () => {
    const said = prefixSet(300);
    await ask(said);
    const [first = [], ...others] = said.parts;
    await sayAll({ ...said, parts: others });
    await ask(said);
    expect(it.stations[0].answers).toEqual([]);
    expect(counter("setsAsked")).toBe(2);
    await sayAll({ ...said, parts: [first] });
    await ask(said);
    expect(it.stations[0].last).toMatchObject({ status: ok });
  });

  test("changes as a whole: another set takes its place", async () => {
    await attach(prefixSet(500));
    await attach(prefixSet(300, vm1, 250));
    expect(ipsOf(a)).toBe(300);
    it.stations[0].ask(request("associate", vm1, group([vn, a])), ...addresses(vm1));
    await pass(it.clock, 40);
    expect(ipsOf(a)).toBe(0);
  });

  test("is refused when its parts do not make its hash, and nothing is different then", async () => {
    await attach(prefixSet(500));
    const said = prefixSet(400);
    const [, second = []] = said.parts;
    const parts = said.parts.map((part, i) => [
      ...part.slice(0, 1),
      ...second.slice(1),
      ...(i === 0 ? part.slice(1) : []),
    ]);
    await ask(said);
    await sayAll({ ...said, parts });
    await ask(said);
    expect(it.stations[0].last).toMatchObject(refusal(VdpError.invalidFormat, { keep: true }));
    expect(it.stations[0].reasons.at(-1)).toContain("do not make its hash");
    expect(ipsOf(a)).toBe(500);
    await ask(said);
    expect(it.stations[0].asked).toHaveLength(3); // it may be said anew
  });

  test("is refused with what the port takes when it has more, in parts or beside the request", async () => {
    const said = prefixSet(1001);
    await attach(said);
    expect(it.stations[0].last).toMatchObject(refusal(VdpError.insufficientResources));
    expect(it.stations[0].reasons).toEqual([
      "2 1001 addresses and prefixes on one VNIC: this port takes 1000 (maxAddresses)",
    ]);
    expect(it.agent.core.vsis.size).toBe(0);
    it = tor("[{ name: swp1, maxAddresses: 2 }, { name: swp2 }]");
    it.nva.connect();
    it.stations[0].lldp(true, "reasons");
    const three = [1, 2, 3].map((n) => ({ ip: IpPrefix(`10.0.${n}.0/24`) }));
    const tlvs = prefixTlvs({ vsiId: vsiIdOf(vm1), entries: three });
    it.stations[0].ask(request("associate", vm1, group([vn, a])), ...tlvs);
    await pass(it.clock, 40);
    expect(it.stations[0].reasons.at(-1)).toMatch(/^2 3 addresses and prefixes/);
  });

  test("costs no memory beyond what the port takes, whatever its parts say", async () => {
    const [station] = it.stations;
    const vsiId = vsiIdOf(vm1);
    const hash = new Uint8Array(8);
    const {
      parts: [[, ...tlvs] = []],
    } = prefixSet(90);
    station.ask(...asking({ parts: [], name: setTlv({ vsiId, hash, part: 0, parts: 1024 }) }));
    await pass(it.clock, 10);
    for (let part = 1; part <= 100; part++) {
      station.ask(setTlv({ vsiId, hash, part, parts: 1024 }), ...tlvs);
      await pass(it.clock, 30);
    }
    expect(counter("setPartsSkipped")).toBeGreaterThan(5);
    await ask({ parts: [], name: setTlv({ vsiId, hash, part: 0, parts: 1024 }) });
    expect(station.reasons.at(-1)).toContain("this port takes 1000");
  });

  test("is forgotten when no more of it comes, and parts that nobody asked for are skipped", async () => {
    const said = prefixSet(300);
    const [first = []] = said.parts;
    it.stations[0].ask(...first);
    await pass(it.clock, 10);
    expect(counter("setPartsSkipped")).toBe(1);
    await ask(said);
    it.stations[0].ask(...first);
    await pass(it.clock, 6000, 50);
    expect(counter("setsIncomplete")).toBe(1);
    await sayAll(said);
    expect(counter("setPartsSkipped")).toBe(1 + said.parts.length);
  });

  test("waits for its turn when there are many, and each gets it", async () => {
    const [station] = it.stations;
    const vms = Array.from({ length: 12 }, (_, i) => vsi(i));
    const said = vms.map((vm) => prefixSet(100, vm));
    for (const [i, one] of said.entries()) await ask(one, vms[i], macOf(i));
    const asked = () => station.asked.map(({ vsiId }) => vsiId.octets.at(-1) ?? 0);
    expect(asked()).toEqual([0, 1, 2, 3]);
    for (const [i, one] of said.entries()) {
      await sayAll(one);
      await ask(one, vms[i], macOf(i));
    }
    expect(asked()).toEqual([...vms.keys()]);
    expect(station.answers).toHaveLength(12);
  });

  test("of a station that goes frees its turn", async () => {
    const vms = Array.from({ length: 5 }, (_, i) => vsi(i));
    for (const [i, vm] of vms.entries()) await ask(prefixSet(100, vm), vm, macOf(i));
    expect(it.stations[0].asked).toHaveLength(4);
    it.stations[0].ask(request("de-associate", vsi(0), group([vn, macOf(0)])));
    await pass(it.clock, 40);
    expect(it.stations[0].asked).toHaveLength(5);
  });
});

const vsi = (n: number): Uuid => `00000000-0000-4000-8000-0000000002${hex(n)}` as Uuid;

describe("H12: MACs besides the filter entries", () => {
  const bridge = (count: number): Said => {
    const entries = Array.from({ length: count }, (_, i) => ({ groupId: vn, mac: macOf(i) }));
    return setOf(vm1, macTlvs({ vsiId: vsiIdOf(vm1), entries }));
  };
  const macs = (): number => it.agent.core.locals(vn).flatMap(({ macs }) => [...macs]).length;

  test("500 of them have the tag of their VN, and the answer repeats the entries alone", async () => {
    const [station] = it.stations;
    await attach(bridge(500));
    const entries = [{ groupId: vn, mac: a, vid: 2 }];
    expect(station.last).toMatchObject({ status: ok, filters: { entries } });
    expect(station.last?.filters.entries).toHaveLength(1);
    expect(macs()).toBe(501);
    expect(it.nva.reports.flatMap(({ claims }) => claims)).toHaveLength(501);
  });

  test("one less is decided anew, and is gone", async () => {
    await attach(bridge(500));
    await attach(bridge(499));
    expect(macs()).toBe(500);
    const gone = it.nva.reports.flatMap(({ withdrawn }) => withdrawn);
    expect(gone).toEqual([{ vn, mac: macOf(499) }]);
  });

  test("our own De-Associate holds the entries alone", async () => {
    await attach(bridge(500));
    it.nva.deleteVn(5001);
    await pass(it.clock, 40);
    expect(it.stations[0].last?.type).toBe("de-associate");
    expect(it.stations[0].last?.filters.entries).toHaveLength(1);
  });

  test("stand beside the request where they fit", async () => {
    const tlvs = macTlvs({ vsiId: vsiIdOf(vm1), entries: [{ groupId: vn, mac: b }] });
    it.stations[0].ask(request("associate", vm1, group([vn, a])), ...tlvs);
    await pass(it.clock, 40);
    expect(macs()).toBe(2);
  });

  test("of a VN that no entry has, or beside another format, are refused", async () => {
    const [station] = it.stations;
    const tlvs = macTlvs({ vsiId: vsiIdOf(vm1), entries: [{ groupId: 5002, mac: b }] });
    station.ask(request("associate", vm1, group([vn, a])), ...tlvs);
    await pass(it.clock, 40);
    expect(station.last).toMatchObject(refusal(VdpError.invalidVidGroupOrMac, { hard: true }));
    const other = macTlvs({ vsiId: vsiIdOf(vm2), entries: [{ groupId: vn, mac: b }] });
    const groups = { by: "group-vid", entries: [{ groupId: vn }] } as const;
    station.ask(request("associate", vm2, groups), ...other);
    await pass(it.clock, 40);
    expect(station.last).toMatchObject(refusal(VdpError.invalidFormat, { hard: true }));
    expect(it.agent.core.vsis.size).toBe(0);
  });
});
