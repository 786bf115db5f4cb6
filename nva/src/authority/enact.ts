import type { Instant, NveId, VnId } from "@nve/protocol-spec";
import { remainsOf } from "./attach.ts";
import type { Catalogue, DeclaredChange, Entry } from "./catalogue.ts";
import type { Binding } from "./declared.ts";
import { forgetVn, type NveState, usesVn } from "./nve-state.ts";
import { type Effects, type Vn, vnKey } from "./records.ts";
import { restand } from "./restand.ts";
import type { Remains } from "./slices.ts";
import type { VnState } from "./vn-state.ts";

/** What changes of the catalogue act upon. */
export type Domain = {
  catalogue: Catalogue;
  vns: Map<VnId, VnState>;
  nves: ReadonlyMap<NveId, NveState>;
  remains: Remains;
  newVn(vn: Vn, revision: number): VnState;
};

/** Makes what the catalogue was changed to count, in the order of the changes. */
export function enact(
  domain: Domain,
  changes: readonly DeclaredChange[],
  now: Instant,
  effects: Effects,
): void {
  for (const change of changes) {
    const { kind, key, after } = change;
    switch (kind) {
      case "tenant":
        // One that came with a VN of before there were tenants has no row to delete.
        if (after !== undefined || change.before?.revision !== 0)
          effects.changes.push({ table: kind, key, ...rowOf(after) });
        break;
      case "policy":
        effects.changes.push({ table: kind, key, ...rowOf(after) });
        break;
      case "vnic":
        effects.changes.push({ table: kind, key, ...rowOf(after) });
        restand(domain, change.before?.row, after?.row, effects);
        break;
      case "profile":
        effects.changes.push({ table: kind, key, ...rowOf(after) });
        for (const vnId of domain.catalogue.vnsOfProfile(key)) effects.touch(vnId).vn = true;
        break;
      case "vn":
        enactVn(domain, change.before?.row, after?.row, now, effects);
        break;
      case "binding":
        enactBinding(domain, change.before?.row, after?.row, now, effects);
    }
  }
  domain.catalogue.enacted(changes);
}

const rowOf = <T>(after: Entry<T> | undefined): { row?: T } =>
  after === undefined ? {} : { row: after.row };

function enactVn(
  domain: Domain,
  before: Vn | undefined,
  after: Vn | undefined,
  now: Instant,
  effects: Effects,
): void {
  const { vns, newVn, remains } = domain;
  const vnId = after?.vnId ?? before?.vnId;
  if (vnId === undefined) return;
  const touch = effects.touch(vnId);
  touch.vn = true;
  const state = vns.get(vnId);
  if (after === undefined) {
    effects.changes.push({ table: "vn", key: vnKey(vnId) });
    if (state !== undefined) dropVn(domain, state, now, effects);
    touch.life = true;
    return;
  }
  effects.changes.push({ table: "vn", key: vnKey(vnId), row: after });
  if (state === undefined) {
    remains.clear(vnId, now, effects);
    vns.set(vnId, newVn(after, 0));
    touch.life = true;
  } else state.vn = after;
}

/** With its members and claims, whose rows are deleted by and by. */
function dropVn({ vns, nves, remains }: Domain, vn: VnState, now: Instant, effects: Effects): void {
  const { vnId } = vn.vn;
  const users = [...nves.values()].filter((nve) => usesVn(nve, vnId));
  for (const nve of users) forgetVn(nve, vnId);
  vns.delete(vnId);
  remains.leave(vnId, remainsOf(vn, users), now, effects);
}

function enactBinding(
  { vns }: Domain,
  before: Binding | undefined,
  after: Binding | undefined,
  now: Instant,
  effects: Effects,
): void {
  // To another NVE is a move: its sequence has to rise.
  if (before !== undefined && before.nveId !== after?.nveId)
    vns.get(before.vnId)?.withdraw(before.mac, "static", now, effects);
  if (after === undefined) return;
  const flags = { sticky: false, anycast: false, suspended: false };
  const claim = { ...after, ...flags, sequence: 0, source: "static" as const };
  vns.get(after.vnId)?.put(claim, 0, effects);
}
