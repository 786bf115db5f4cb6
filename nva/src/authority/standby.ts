import type { NveId } from "@nve/protocol-spec";
import type { Standby } from "./declared.ts";
import { fits } from "./patterns.ts";
import type { Held } from "./ranking.ts";
import { type Claim, claimKey, type Effects, type Reported } from "./records.ts";

// Hot standby (M9): a VNIC that runs at several places at once, one of which gets what is sent to it. All that says which is in
// the rows of its claims, so that a restart, or another replica, moves nothing.

/** What the claims of such a VNIC have. */
export type Standing = {
  /** Of its place among those of the VNIC; 0: before all others. */
  preference: number;
  /** A better place gets the traffic back when it is there again. */
  revert: boolean;
  /** What is sent to the VNIC goes here. */
  active?: true;
  /** The session of its NVE is lost, and it has not been named since. */
  lost?: true;
};

/** The claim as it counts. A place that is not among the VNIC's comes after all that are. */
export function standing(claim: Reported, nveId: NveId, standby: Standby | undefined): Reported {
  if (standby === undefined || claim.gleaned) return claim;
  const { places, revert } = standby;
  const isHere = (place: string): boolean =>
    fits(place, nveId) || (claim.hypervisor !== undefined && fits(place, claim.hypervisor));
  const found = places.findIndex(isHere);
  const preference = found < 0 ? places.length : found;
  return { ...claim, anycast: true, standby: { preference, revert } };
}

/** The place that gets the traffic. @param best of all claims of the address: of that VNIC */
export const activeOf = (best: Held, held: readonly Held[]): Held =>
  placesOf(best, held)[0] ?? best;

/** All of them, the active one first; where it is another VNIC's, or none's, its own only. */
export const placesOf = ({ claim: best }: Held, held: readonly Held[]): Held[] =>
  held
    .filter(({ claim }) => claim.standby !== undefined && claim.vnic === best.vnic)
    .sort((a, b) => (isBefore(a.claim, b.claim) ? -1 : 1));

/** Usable before not; then the better one where it is to revert; then where it is; then the better one. */
function isBefore(a: Claim, b: Claim): boolean {
  const [first, second] = [orderOf(a), orderOf(b)];
  const differs = first.findIndex((rank, i) => rank !== second[i]);
  return differs < 0 ? a.source < b.source : (first[differs] ?? 0) < (second[differs] ?? 0);
}

function orderOf({ standby, suspended }: Claim): number[] {
  const { preference = 0, revert = false, active = false, lost = false } = standby ?? {};
  const usable = lost || suspended ? 1 : 0;
  return [usable, revert ? preference : 0, active ? 0 : 1, preference];
}

/** Stores which of them is active now. */
export function activate(best: Held, held: readonly Held[], effects: Effects): void {
  for (const one of held) {
    const { standby, ...claim } = one.claim;
    if (standby === undefined) continue;
    const isActive = one === best;
    if (isActive === (standby.active ?? false)) continue;
    const { active, ...rest } = standby;
    one.claim = { ...claim, standby: { ...rest, ...(isActive && { active: true }) } };
    store(one.claim, effects);
  }
}

/** What a claim has of the one that it takes the place of. */
export function succeeding(claim: Claim, own: Claim | undefined): Claim {
  const { standby } = claim;
  if (standby === undefined || own?.standby?.active === undefined) return claim;
  return { ...claim, standby: { ...standby, active: true } };
}

/** The session of its NVE is lost. */
export const losing = (claim: Claim): Claim =>
  claim.standby === undefined ? claim : { ...claim, standby: { ...claim.standby, lost: true } };

export const sameStanding = (a: Standing | undefined, b: Standing | undefined): boolean =>
  a?.preference === b?.preference &&
  a?.revert === b?.revert &&
  a?.active === b?.active &&
  a?.lost === b?.lost;

function store(claim: Claim, effects: Effects): void {
  const key = claimKey(claim.vnId, claim.mac, claim.source);
  effects.changes.push({ table: "claim", key, row: claim });
}
