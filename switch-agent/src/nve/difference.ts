import type { IpPrefix, Mac, Uuid, VnId } from "@nve/protocol-spec";
import type { Announcement } from "./announce.ts";
import type { NveEffect, Report, Waiting } from "./events.ts";
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
  /** VNICs that are forwarded for from now on. */
  departed: readonly Uuid[] = [];
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

  /** In the order in which they are to be done. @param owners wait for the intents */
  effects(owners: readonly Waiting[]): readonly NveEffect[] {
    const { change, watch, unwatch, report, departed: vnics, announcements: all } = this;
    const isIdle = owners.length + change.ensure.length + change.remove.length === 0;
    const isSilent = Object.values(report).every(({ length }) => length === 0);
    return [
      ...some(watch.length > 0, { do: "watch", vns: watch }),
      ...some(unwatch.length > 0, { do: "unwatch", vns: unwatch }),
      ...some(!isIdle, { do: "intents", change, owners }),
      ...some(!isSilent, { do: "report", ...report }),
      ...some(vnics.length > 0, { do: "departed", vnics }),
      ...some(all.length > 0, { do: "announce", all }),
    ];
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

const some = (is: boolean, effect: NveEffect): NveEffect[] => (is ? [effect] : []);

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
