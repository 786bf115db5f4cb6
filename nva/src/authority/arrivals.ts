import type { Instant, Mac, NveId, VnId } from "@nve/protocol-spec";
import { putClaim } from "./attach.ts";
import type { Catalogue } from "./catalogue.ts";
import type { Duplicates } from "./duplicates.ts";
import { leave, withdraw } from "./leaving.ts";
import type { Migrations } from "./migrations.ts";
import type { NveState } from "./nve-state.ts";
import { type Effects, nveSource, type Reported } from "./records.ts";
import { standing } from "./standby.ts";
import type { VnState } from "./vn-state.ts";

/** What an NVE's claims act upon. */
export type Claimed = {
  readonly catalogue: Pick<Catalogue, "vnic">;
  readonly vns: ReadonlyMap<VnId, VnState>;
  readonly nves: ReadonlyMap<NveId, NveState>;
  readonly duplicates: Duplicates;
  readonly migrations: Migrations;
};

/** Takes a claim that may be, and sees whose migration it is. */
export function accept(
  { catalogue, duplicates, migrations }: Claimed,
  nve: NveState,
  vn: VnState,
  reported: Reported,
  now: Instant,
  effects: Effects,
): void {
  const { mac, vnic } = reported;
  const { nveId } = nve.row.location;
  const source = nveSource(nveId);
  const claim = standing(reported, nveId, vnic && catalogue.vnic(vnic)?.standby);
  const own = vn.heldBy(mac, source)?.claim;
  const best = vn.best(mac);
  // It runs again where it was suspended, whatever became of it elsewhere: rolled back.
  const resumes = own?.suspended && !claim.suspended && !own.departed && vnic !== undefined;
  const isBack =
    !claim.standby && resumes && best !== undefined && best !== own && best.vnic === vnic;
  const sequence = isBack ? best.sequence + 1 : claim.sequence;
  putClaim(nve, vn, { ...claim, sequence }, duplicates, now, effects);
  const is = vn.heldBy(mac, source)?.claim;
  if (is !== undefined) migrations.claimed(vn, is, { best, own }, now, effects);
}

/** An NVE withdraws a claim. Shutdown and migration are told apart (H21, H22). */
export function takeBack(
  { vns, migrations }: Claimed,
  nve: NveState,
  vnId: VnId,
  mac: Mac,
  now: Instant,
  effects: Effects,
): void {
  const vn = vns.get(vnId);
  const own = vn?.heldBy(mac, nveSource(nve.row.location.nveId))?.claim;
  if (own?.departed) return; // again
  const counts = own !== undefined && vn?.best(mac) === own;
  if (vn === undefined || !counts || !migrations.isDeparture(own)) {
    withdraw(vns, nve, vnId, mac, now, effects);
    return;
  }
  vn.put({ ...own, suspended: true, departed: true }, nve.generation, effects);
  migrations.departed(vn, own, now, effects);
}

/** The last member of a VN is gone at an NVE, and with it all that it had there (H2, H7). */
export function leaveVn(
  claimed: Claimed,
  nve: NveState,
  vnId: VnId,
  now: Instant,
  effects: Effects,
): void {
  for (const mac of [...(nve.macs.get(vnId) ?? [])])
    takeBack(claimed, nve, vnId, mac, now, effects);
  leave(claimed.vns, nve, vnId, effects);
}
