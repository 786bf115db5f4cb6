import type { NveId, Uuid, VnId } from "@nve/protocol-spec";
import { claimsAt, vnicsOf } from "./attach.ts";
import type { ExpectedVnic, Standby } from "./declared.ts";
import type { NveState } from "./nve-state.ts";
import type { Claim, Effects } from "./records.ts";
import { standing, succeeding } from "./standby.ts";
import type { VnState } from "./vn-state.ts";

type Domain = {
  readonly vns: ReadonlyMap<VnId, VnState>;
  readonly nves: ReadonlyMap<NveId, NveState>;
};

/** A VNIC is to be in hot standby, or otherwise, or no more: so are the claims that there are of it. What is active stays so. */
export function restand(
  domain: Domain,
  before: ExpectedVnic | undefined,
  after: ExpectedVnic | undefined,
  effects: Effects,
): void {
  const vnic = after?.vnic ?? before?.vnic;
  const standby = after?.standby;
  if (vnic === undefined || sameStandby(before?.standby, standby)) return;
  const vnIds = [...(before?.vns ?? []), ...(after?.vns ?? [])].map(({ vnId }) => vnId);
  for (const vn of new Set(vnIds.flatMap((vnId) => domain.vns.get(vnId) ?? []))) {
    const all = claimsOf(domain, vn, vnic);
    const isBest = (claim: Claim): boolean => vn.best(claim.mac)?.source === claim.source;
    const best = all.filter(isBest);
    const others = all.filter((claim) => !best.includes(claim));
    // The first in hot standby is active; of others the last counts.
    for (const claim of standby === undefined ? others : best) revise(vn, claim, standby, effects);
    for (const claim of standby === undefined ? best : others) revise(vn, claim, standby, effects);
  }
}

function revise(vn: VnState, claim: Claim, standby: Standby | undefined, effects: Effects): void {
  const { standby: was, source, nveId, mac, ...plain } = claim;
  const wanted = standing({ ...plain, mac, anycast: false }, nveId, standby);
  const stays = was?.active && standby === undefined;
  const sequence = stays ? (vn.best(mac)?.sequence ?? 0) + 1 : claim.sequence;
  const lost = was?.lost &&
    wanted.standby && { standby: { ...wanted.standby, lost: true as const } };
  vn.revise(succeeding({ ...wanted, ...lost, source, nveId, sequence }, claim), effects);
}

/** What NVEs said of it, and nobody has merely seen. */
function claimsOf({ nves }: Domain, vn: VnState, vnic: Uuid): Claim[] {
  const found: Claim[] = [];
  for (const nve of nves.values()) {
    if (!vnicsOf(nve, vn).has(vnic)) continue;
    for (const claim of claimsAt(nve, vn))
      if (claim.vnic === vnic && !claim.gleaned) found.push(claim);
  }
  return found;
}

const sameStandby = (a: Standby | undefined, b: Standby | undefined): boolean =>
  a?.revert === b?.revert && a?.places.join("\n") === b?.places.join("\n");
