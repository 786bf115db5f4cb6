import type { Mac, NveId, VnId } from "@nve/protocol-spec";
import { Delta, WatchEvent } from "@nve/protocol-spec/proto/nve";
import type { Authority } from "../authority/authority.ts";
import type { Touch } from "../authority/records.ts";
import type { VnState } from "../authority/vn-state.ts";
import { toLocation, toMac, toMapping } from "./convert.ts";
import { toVn } from "./convert-vn.ts";
import { LOCATION_OCTETS, octetsOf } from "./size.ts";

/** One thing of a VN that a watcher must hear of. */
export type Key = { vn: true } | { nve: NveId } | { mac: Mac };

export function* keysOf({ vn, members, macs }: Touch): Generator<Key> {
  if (vn) yield { vn: true };
  for (const nve of members) yield { nve };
  for (const mac of macs) yield { mac };
}

export const sizeOf = ({ vn, members, macs }: Touch): number =>
  (vn ? 1 : 0) + members.size + macs.size;

/** All there is of a VN, or only these of its MACs; goes on rightly while things come and go. */
export function* everyKey(
  authority: Authority,
  vnId: VnId,
  only?: ReadonlySet<Mac>,
): Generator<Key> {
  yield { vn: true };
  const vn = authority.vn(vnId);
  for (const nve of vn?.members ?? []) yield { nve };
  for (const mac of only ?? vn?.macs() ?? []) yield { mac };
}

/** Things in one delta, and about as many octets: a gRPC message has 4 MB at most if its reader sets no other limit. */
const DELTA = { keys: 200, octets: 1_000_000 };

/** The first of these, as many as go into one delta; one at least. */
export function* portion(authority: Authority, vnId: VnId, keys: Iterable<Key>): Generator<Key> {
  const vn = authority.vn(vnId);
  const left = { ...DELTA };
  for (const key of keys) {
    yield key;
    left.keys -= 1;
    left.octets -= "mac" in key ? mappingOctets(vn, key.mac) : LOCATION_OCTETS;
    if (left.keys <= 0 || left.octets <= 0) return;
  }
}

const mappingOctets = (vn: VnState | undefined, mac: Mac): number =>
  octetsOf(vn?.ipCount(mac) ?? 0, vn?.claimsOf(mac) ?? 0);

/** The delta of a change, if it is small enough for one. */
export function wholeDelta(
  authority: Authority,
  vnId: VnId,
  touch: Touch,
  revision: number,
): Buffer | undefined {
  const keys = [...portion(authority, vnId, keysOf(touch))];
  if (keys.length < sizeOf(touch)) return undefined;
  return encodeDelta(deltaOf(authority, vnId, keys, revision));
}

/** The present state of these keys: what is there, and what is there no more. */
export function deltaOf(
  authority: Authority,
  vnId: VnId,
  keys: Iterable<Key>,
  revision: number,
): Delta {
  const delta = Delta.create({ vnId, revision: BigInt(revision) });
  const vn = authority.vn(vnId);
  if (vn === undefined) return { ...delta, vnGone: true };
  for (const key of keys) {
    if ("vn" in key) delta.vn = toVn(vn.vn, vn.revision, authority.catalogue.profileOf(vn.vn));
    else if ("nve" in key) {
      const nve = vn.members.has(key.nve) ? authority.nve(key.nve) : undefined;
      if (nve === undefined) delta.membersLeft.push(key.nve);
      else delta.members.push(toLocation(nve.row.location));
    } else {
      const mapping = vn.mapping(key.mac);
      if (mapping === undefined) delta.withdrawn.push(toMac(key.mac));
      else delta.mappings.push(toMapping(mapping));
    }
  }
  return delta;
}

export const encodeEvent = (event: WatchEvent): Buffer =>
  Buffer.from(WatchEvent.encode(event).finish());

export const encodeDelta = (delta: Delta): Buffer =>
  encodeEvent({ event: { $case: "delta", value: delta } });
