import type { Instant, Mac, VnId } from "@nve/protocol-spec";
import { withdrawClaim } from "./attach.ts";
import { everyClaim, type NveState, unindexClaim } from "./nve-state.ts";
import { type Effects, memberKey, nveSource } from "./records.ts";
import { type Piece, piecesOf } from "./slices.ts";
import type { VnState } from "./vn-state.ts";

type Vns = ReadonlyMap<VnId, VnState>;

/** Takes back what an NVE claims of an address. */
export function withdraw(
  vns: Vns,
  nve: NveState,
  vnId: VnId,
  mac: Mac,
  now: Instant,
  effects: Effects,
): void {
  const vn = vns.get(vnId);
  if (vn === undefined) unindexClaim(nve, vnId, mac);
  else withdrawClaim(nve, vn, mac, `nve:${nve.row.location.nveId}`, now, effects);
}

/** The last member is gone there (H2, H7); what it had was withdrawn. */
export function leave(vns: Vns, nve: NveState, vnId: VnId, effects: Effects): void {
  const { nveId } = nve.row.location;
  if (!nve.members.delete(vnId)) return;
  vns.get(vnId)?.members.delete(nveId);
  effects.changes.push({ table: "member", key: memberKey(vnId, nveId) });
  effects.touch(vnId).members.add(nveId);
}

/** Drops what this session of an NVE has not named, each by `drop`; with the next session it is over. */
export function* sweep(vns: Vns, nve: NveState, drop = withdraw): Generator<Piece> {
  const { generation } = nve;
  const source = nveSource(nve.row.location.nveId);
  const isNow = (): boolean => nve.generation === generation;
  const isNamed = (vnId: VnId, mac: Mac): boolean =>
    vns.get(vnId)?.heldBy(mac, source)?.generation === generation;
  // Whatever the NVE says of them: as long as it is there.
  const isHeld = (vnId: VnId, mac: Mac): boolean =>
    nve.row.connected && vns.get(vnId)?.heldBy(mac, source)?.claim.departed === true;
  yield* piecesOf(everyClaim(nve), ([vnId, mac]) => {
    if (!isNow() || isNamed(vnId, mac) || isHeld(vnId, mac)) return undefined;
    return (now, effects) => drop(vns, nve, vnId, mac, now, effects);
  });
  if (!isNow()) return;
  for (const [vnId, said] of [...nve.members])
    if (said !== generation && !nve.macs.has(vnId))
      yield (_, effects) => {
        if (isNow() && nve.members.get(vnId) !== generation && !nve.macs.has(vnId))
          leave(vns, nve, vnId, effects);
      };
  if (isNow() && nve.row.connected) delete nve.deadline; // lost meanwhile, it has a new one
}

/**
 * Marks what a lost NVE claims, which is served on. Many at a time: no row changes, but of VNICs in hot standby.
 * @param stopping it is the authority that goes: nothing is known of the NVE
 */
export function* age(vns: Vns, nve: NveState, stopping = false): Generator<Piece> {
  const { generation } = nve;
  const source = nveSource(nve.row.location.nveId);
  let some: [VnId, Mac][] = [];
  const piece = (): Piece => {
    const these = some;
    some = [];
    return (_, effects) => {
      if (nve.generation !== generation) return; // back meanwhile
      for (const [vnId, mac] of these) vns.get(vnId)?.age(mac, source, effects, stopping);
    };
  };
  for (const one of everyClaim(nve)) {
    some.push(one);
    if (some.length >= aged) yield piece();
  }
  yield piece();
}

const aged = 10;
