import { parseConfig } from "@nve/program/config";
import { IpAddress, ipOctets, Mac, macOctets, NveId, VnId, Vni } from "@nve/protocol-spec";
import { configSchema } from "@nve/switch-agent/config";
import { eventsOf, helloOf, type Self } from "@nve/switch-agent/nva-client/convert";
import { Locations } from "@nve/switch-agent/nva-client/locations";
import {
  carries,
  encapsulationFor,
  Fdb,
  remotePlace,
  type Via,
  viaOf,
  viaVxlan,
} from "@nve/switch-agent/nve";
import { expect, test } from "vitest";

const vtep = IpAddress("192.0.2.2");

test("A24: of what both have the first of ours counts; one that announces nothing does VXLAN", () => {
  expect(viaOf(["nvgre", "vxlan"], ["vxlan", "nvgre"])).toEqual(["nvgre", "vxlan"]);
  expect(viaOf(["mpls-over-gre", "nvgre"], ["vxlan", "nvgre"])).toEqual(["nvgre"]);
  expect(viaOf(["nvgre"], ["vxlan"])).toEqual([]);
  expect(viaOf(["nvgre"], [])).toEqual([]);
  expect(viaOf(["nvgre", "vxlan"], [])).toBe(viaVxlan);
  expect(viaOf(["vxlan"], ["vxlan", "nvgre"])).toBe(viaVxlan);
  // The same list is the same object: there may be one for each of many MACs.
  const lists = [1, 2].map(() => viaOf(["nvgre", "vxlan"], ["vxlan", "nvgre"]));
  expect(lists[0]).toBe(lists[1]);
});

test("A24: a VNI that an encapsulation has no place for goes in the next (RFC 7637, RFC 3032 §2.1)", () => {
  const fit = (kind: Via[number], ...vnis: number[]) => vnis.map((vni) => carries(kind, Vni(vni)));
  expect(fit("vxlan", 1, 0xffffff)).toEqual([true, true]);
  expect(fit("nvgre", 0xfff, 0x1000, 0xfffffe, 0xffffff)).toEqual([false, true, true, false]);
  expect(fit("mpls-over-gre", 15, 16, 0xfffff, 0x100000)).toEqual([false, true, true, false]);
  const way = { vtep, via: ["mpls-over-gre", "nvgre", "vxlan"] as const };
  const chosen = [5, 100, 0x100000, 0xffffff].map((vni) => encapsulationFor(way, Vni(vni)));
  expect(chosen).toEqual(["vxlan", "mpls-over-gre", "nvgre", "vxlan"]);
  expect(encapsulationFor({ vtep, via: ["nvgre"] }, Vni(100))).toBeUndefined();
  expect(remotePlace({ vtep, via: ["nvgre"] }, Vni(100))).toBeUndefined();
  expect(remotePlace({ vtep }, Vni(100))).toEqual({ is: "remote", vtep });
});

const self: Self = {
  nve: NveId("tor1"),
  vtep: IpAddress("192.0.2.1"),
  encapsulations: ["mpls-over-gre", "vxlan"],
};
const location = (nveId: string, encapsulations: number[]) => ({
  nveId,
  vteps: [Buffer.from(ipOctets(vtep))],
  encapsulations,
});

test("A24: the NVA is told what we take, best first", () => {
  const hello = helloOf(self, new Uint8Array(16)).message;
  expect(hello).toMatchObject({ value: { location: { encapsulations: [3, 1] } } });
  const { encapsulations: _, ...plain } = self;
  expect(helloOf(plain, new Uint8Array(16)).message).toMatchObject({
    value: { location: { encapsulations: [1] } },
  });
});

test("A24: members and mappings say how to get there; kinds that nobody knows yet do not disturb", () => {
  const mac = Mac("02:00:00:00:00:0c");
  const members = [location("a", [1, 2, 3]), location("b", [1, 99]), location("c", [2])];
  const delta = {
    ...{ vnId: 5001, revision: 2n, vn: undefined, vnGone: false },
    ...{ withdrawn: [], membersLeft: [], members },
    mappings: [
      {
        ...{ vnId: 5001, mac: Buffer.from(macOctets(mac)), ips: [], prefixes: [] },
        ...{ locations: [location("c", [2])], sequence: 1n, vnic: Buffer.alloc(16) },
        ...{ sticky: false, anycast: false, suspended: false, stale: false },
      },
    ],
  };
  const odd: string[] = [];
  const [event] = eventsOf(delta, new Locations(self), (reason) => odd.push(reason));
  expect(odd).toEqual([]);
  expect(event).toMatchObject({
    change: {
      members: [
        { nve: "a", vtep, via: ["mpls-over-gre", "vxlan"] },
        { nve: "b", vtep },
        { nve: "c", vtep, via: [] },
      ],
      mappings: [{ mac, nve: "c", via: [] }],
    },
  });
});

test("A24: a list of ways is another when an NVE takes something else", () => {
  const vn = VnId(5001);
  const fdb = new Fdb();
  fdb.watch(vn);
  const change = { vn, mappings: [], withdrawn: [], membersLeft: [] };
  const member = (via: Via) => ({ nve: NveId("tor2"), vtep, via });
  expect(fdb.apply({ ...change, members: [member(viaOf(["nvgre"], ["nvgre"]))] })).toBe(true);
  const before = fdb.ways(vn);
  expect(fdb.apply({ ...change, members: [member(viaOf(["nvgre"], ["nvgre"]))] })).toBe(false);
  expect(fdb.ways(vn)).toBe(before);
  expect(fdb.apply({ ...change, members: [member(viaVxlan)] })).toBe(true);
  expect(fdb.ways(vn)).toEqual([member(viaVxlan)]);
});

test("A24: the config names encapsulations that there are, each once", () => {
  const schema = configSchema(() => []);
  const read = (list: string) =>
    parseConfig(
      `vtep: 192.0.2.1\nnva: { addresses: ["nva:7470"], insecure: true }\nports: [{ name: swp1 }]\ndataplane: { encapsulations: ${list} }\n`,
      schema,
    ).dataplane.encapsulations;
  expect(read("[nvgre, vxlan]")).toEqual(["nvgre", "vxlan"]);
  expect(() => read("[nvgre, nvgre]")).toThrow("nvgre is named twice");
  expect(() => read("[]")).toThrow("name one encapsulation at least");
  expect(() => read("[geneve]")).toThrow("dataplane.encapsulations");
});
