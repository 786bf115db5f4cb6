import type { Held } from "./ranking.ts";
import type { Claim } from "./records.ts";
import { sameStanding } from "./standby.ts";

/** What a claim of a MAC is to have: what it asks for, or what its source has, or the next. */
export function sequenceOf(
  claim: Claim,
  own: Held | undefined,
  best: Held | undefined,
  highest: number,
): number {
  if (own !== undefined) return Math.max(own.claim.sequence, claim.sequence);
  if (claim.sequence !== 0) return claim.sequence;
  const joins = claim.anycast && best?.claim.anycast === true; // no move (openperouter#647)
  return joins ? best.claim.sequence : highest + 1;
}

/** Another source counts now. Several sources of an anycast address are no move. */
export const isMove = (before: Held, best: Held): boolean =>
  before.claim.source !== best.claim.source && !(before.claim.anycast && best.claim.anycast);

export function sameClaim(a: Claim, b: Claim): boolean {
  return (
    a.sequence === b.sequence &&
    a.nveId === b.nveId &&
    a.vnic === b.vnic &&
    a.hypervisor === b.hypervisor &&
    a.port === b.port &&
    a.sticky === b.sticky &&
    a.anycast === b.anycast &&
    a.suspended === b.suspended &&
    a.departed === b.departed &&
    a.gleaned === b.gleaned &&
    a.description === b.description &&
    a.station === b.station &&
    a.authenticated === b.authenticated &&
    sameStanding(a.standby, b.standby) &&
    a.ips.length === b.ips.length &&
    a.ips.every((ip, i) => ip === b.ips[i])
  );
}
