import type { IpPrefix, Mac, Uuid, VnId } from "@nve/protocol-spec";
import type { Announcement } from "./announce.ts";
import type { Report } from "./events.ts";
import { IntentTable } from "./intent-table.ts";
import { type Intent, type IntentChange, intentChange } from "./intents.ts";
import type { PreparedVnic } from "./prepared.ts";
import type { LocalClaim } from "./vsi.ts";

type Changes = {
  claims: LocalClaim[];
  withdrawn: Report["withdrawn"][number][];
  joined: VnId[];
  left: VnId[];
  prepared?: PreparedVnic[];
  unprepared?: Uuid[];
};

/** What became different in the VNs that events touched. */
export class Difference {
  readonly watch: VnId[] = [];
  readonly unwatch: VnId[] = [];
  /** Of MACs that have moved (M3). */
  readonly announcements: Announcement[] = [];
  readonly report: Changes = {
    claims: [],
    withdrawn: [],
    joined: [],
    left: [],
  };
  readonly #before = new IntentTable<Intent>();
  readonly #after = new IntentTable<Intent>();

  /** Over all VNs at once: a tag that went from one to another is replaced, not removed. */
  get change(): IntentChange {
    return intentChange(this.#before, this.#after);
  }

  intent(was: Intent | undefined, is: Intent | undefined): void {
    if (was !== undefined) this.#before.set(was, was);
    if (is !== undefined) this.#after.set(is, is);
  }

  claim(vn: VnId, mac: Mac, was: LocalClaim | undefined, is: LocalClaim | undefined): void {
    if (is === undefined) {
      if (was !== undefined) this.report.withdrawn.push({ vn, mac });
    } else if (was === undefined || !sameClaim(was, is)) this.report.claims.push(is);
  }
}

/**
 * Would the NVA see a difference? Port and station are told but are no reason to tell: a move between two ports of
 * one NVE is not announced (H20).
 */
const sameClaim = (a: LocalClaim, b: LocalClaim): boolean =>
  a.vnic === b.vnic &&
  a.suspended === b.suspended &&
  a.gleaned === b.gleaned &&
  a.authenticated === b.authenticated &&
  sameIps(a.ips, b.ips);

const sameIps = (a: readonly IpPrefix[], b: readonly IpPrefix[]): boolean =>
  a.length === b.length && a.every((ip, i) => ip === b[i]);
