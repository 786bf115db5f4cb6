import { IpPrefix, isSingle, Mac, Vni } from "@nve/protocol-spec";
import {
  Addresses,
  type AddressMaps,
  type IpsOf,
  readIps,
} from "@nve/switch-agent/dataplane/ebpf/addresses";
import fc from "fast-check";
import { expect, test } from "vitest";

/** A map of the kernel's, in memory; with `fault` what is written last in a batch does not fit. */
class MemoryMap {
  readonly values = new Map<string, unknown>();
  fault = false;
  set(key: object, value: unknown): void {
    this.values.set(JSON.stringify(key), value);
  }
  setAll(entries: Iterable<readonly [object, unknown]>): void {
    const all = [...entries];
    for (const [key, value] of this.fault ? all.slice(0, -1) : all) this.set(key, value);
    if (this.fault) throw new Error("the map is full");
  }
  delete(key: object): boolean {
    return this.values.delete(JSON.stringify(key));
  }
  *entries(): IterableIterator<[object, unknown]> {
    for (const [key, value] of this.values) yield [JSON.parse(key), value];
  }
}

const vnis = [Vni(1), Vni(2)];
const macs = [1, 2, 3, 4].map((n) => Mac(`02:00:00:00:00:0${n}`));
const ips = ["10.0.0.1", "10.0.0.2", "10.1.0.0/16", "fd00::1", "fd00::/64"].map(IpPrefix);
const one = <T>(values: readonly T[]) => fc.constantFrom(...values);
const change = fc.record({
  vni: one(vnis),
  mac: one(macs),
  ips: fc.subarray(ips),
  here: fc.boolean(),
});
const step = fc.record({
  changes: fc.array(change, { minLength: 1, maxLength: 4 }),
  fault: fc.constantFrom("", "", "", "neighbours", "sources", "sourceNets", "place"),
});

test("P12, M10: after whatever changes, each IP of one MAC is answered for, and each MAC here has its own as sources", () => {
  fc.assert(
    fc.property(fc.array(step, { maxLength: 30 }), (steps) => {
      const maps = {
        neighbours: new MemoryMap(),
        sources: new MemoryMap(),
        sourceNets: new MemoryMap(),
      };
      const typed = maps as unknown as AddressMaps;
      const addresses = new Addresses(typed);
      const wanted = new Map<string, IpsOf>();
      for (const { changes, fault } of steps) {
        for (const [name, map] of Object.entries(maps)) map.fault = name === fault;
        const mine = [...new Map(changes.map((is) => [`${is.vni} ${is.mac}`, is])).values()];
        let taken = true;
        try {
          addresses.add(mine);
        } catch {
          taken = false;
        }
        if (taken && fault === "place") addresses.takeBack(mine);
        else if (taken) {
          addresses.settle(mine);
          for (const is of mine) wanted.set(`${is.vni} ${is.mac}`, is);
        }
        check(maps, addresses, [...wanted.values()]);
      }
      const read = readIps(typed);
      for (const { vni, mac, ips, here } of wanted.values()) {
        if (here) expect(read(vni, mac).ips ?? []).toEqual([...ips].sort());
      }
    }),
    { numRuns: 300 },
  );
});

type Maps = Readonly<Record<keyof AddressMaps, MemoryMap>>;

function check(maps: Maps, addresses: Addresses, wanted: readonly IpsOf[]): void {
  const answered = vnis.flatMap((vni) =>
    ips.filter(isSingle).flatMap((ip) => {
      const holders = wanted.filter((is) => is.vni === vni && is.ips.includes(ip));
      const [holder] = holders;
      expect(addresses.answers(vni, ip)).toBe(holders.length === 1);
      return holder !== undefined && holders.length === 1 ? [`${vni} ${ip} ${holder.mac}`] : [];
    }),
  );
  const of = (map: MemoryMap) =>
    [...map.entries()].map(([key, value]) => ({ ...key, value }) as Record<string, unknown>);
  const neighbours = of(maps.neighbours).map(
    ({ vni, ip, value }) => `${vni} ${ip} ${(value as { mac: Mac }).mac}`,
  );
  expect(neighbours.sort()).toEqual(answered.sort());
  const own = (isWanted: (ip: IpPrefix) => boolean) =>
    wanted
      .filter(({ here }) => here)
      .flatMap(({ vni, mac, ips }) => ips.filter(isWanted).map((ip) => `${vni} ${mac} ${ip}`))
      .sort();
  const sources = of(maps.sources).map(({ vni, mac, ip }) => `${vni} ${mac} ${ip}`);
  expect(sources.sort()).toEqual(own(isSingle));
  const nets = of(maps.sourceNets).map(({ vni, mac, ip, length }) => {
    const bits = Number(length) - 96 - (`${ip}`.includes(":") ? 0 : 96);
    return `${vni} ${mac} ${ip}/${bits}`;
  });
  expect(nets.sort()).toEqual(own((ip) => !isSingle(ip)));
  for (const { vni, mac, ips } of wanted) expect(addresses.of(vni, mac)).toEqual(ips);
}
