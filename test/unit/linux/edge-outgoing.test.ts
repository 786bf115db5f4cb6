import { joined, outgoing, together } from "@nve/linux/edge/outgoing";
import {
  addressTlvs,
  Mac,
  setTlv,
  Uuid,
  type Vdpdu,
  type VdpTlv,
  VnId,
  vdpduOctets,
  vsiIdOf,
} from "@nve/protocol-spec";
import { expect, test } from "vitest";

const manager = new Uint8Array(16);
const vsi = (n: number) =>
  vsiIdOf(Uuid(`00000000-0000-4000-8000-${n.toString(16).padStart(12, "0")}`));

const associate = (n: number): VdpTlv => ({
  is: "association",
  type: "associate",
  association: {
    status: { is: "request", suspended: false, migrating: false, code: 0 },
    vsiType: { id: 0, version: 0 },
    vsiId: vsi(n),
    filters: {
      by: "group-mac-vid",
      entries: [{ groupId: VnId(5001), mac: Mac("02:00:00:00:00:01") }],
    },
  },
});
const waiting = (...vdpdus: Vdpdu[]) =>
  vdpdus.map((vdpdu) => outgoing(vdpdu, vdpduOctets(vdpdu), () => {}));
const one = (...tlvs: VdpTlv[]): Vdpdu => ({ manager, tlvs });
const count = (all: ReturnType<typeof waiting>) => together(all, 1493).length;

test("as many go together as one ULPDU holds, in their order", () => {
  const all = waiting(...Array.from({ length: 100 }, (_, n) => one(associate(n))));
  const [head, ...rest] = together(all, 1493);
  if (head === undefined) throw new Error("nothing goes");
  const octets = joined([head, ...rest]);
  const vsis = Array.from({ length: 1 + rest.length }, (_, n) => associate(n));
  expect(octets).toEqual(vdpduOctets(one(...vsis)));
  expect(octets.length).toBeLessThanOrEqual(1493);
  expect(octets.length + 39).toBeGreaterThan(1493);
});

test("two that speak of one VSI, or are of two managers, go one after the other", () => {
  const other = { ...one(associate(3)), manager: new Uint8Array(16).fill(1) };
  expect(count(waiting(one(associate(1)), one(associate(2)), one(associate(1))))).toBe(2);
  expect(count(waiting(one(associate(1)), other))).toBe(1);
});

test("what stands beside an association goes with it", () => {
  const [addresses] = addressTlvs({ vsiId: vsi(1), entries: [] });
  if (addresses === undefined) throw new Error("no TLV");
  expect(count(waiting(one(associate(1), addresses), one(associate(2))))).toBe(2);
});

test("a part of a set, and what is not known, goes alone", () => {
  const part = setTlv({ vsiId: vsi(1), hash: new Uint8Array(8), part: 1, parts: 2 });
  const unknown: VdpTlv = { is: "unknown", type: 9, octets: new Uint8Array(1) };
  for (const alone of [one(associate(1), part), one(associate(1), unknown), one(part)]) {
    expect(count(waiting(alone, one(associate(2))))).toBe(1);
    expect(count(waiting(one(associate(2)), alone))).toBe(1);
  }
});

test("nothing waits: nothing goes", () => {
  expect(together([], 1493)).toEqual([]);
});
