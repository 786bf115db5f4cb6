import type { Mac, NveId, VnId } from "@nve/protocol-spec";
import { everyClaim, type NveState } from "./nve-state.ts";
import { type Change, nveSource } from "./records.ts";
import type { VnState } from "./vn-state.ts";

/** Where a row is. */
export type RowKey = Pick<Change, "table" | "key">;
/** A row that was decided, and is not stored as far as is known; `value` absent: its deletion. */
export type Undone = RowKey & { value?: string };

/**
 * Which rows have to be read again, where memory is ahead of the store by these.
 * @returns undefined where that is not enough: of what was deleted with a VN or an NVE memory has nothing left
 */
export function rowsBehind(undone: readonly Undone[]): RowKey[] | undefined {
  const found = new Map<string, RowKey>();
  const add = ({ table, key }: RowKey): void => void found.set(`${table}/${key}`, { table, key });
  for (const { table, key, value } of undone) {
    if (value === undefined && (table === "vn" || table === "nve")) return undefined;
    if (table === "event") continue;
    add({ table, key });
    // A claim takes the place of its history in memory; the row of that stays.
    if (table === "claim") add({ table: "history", key: key.slice(0, historyKeyLength) });
  }
  return [...found.values()];
}

const historyKeyLength = "000001/02:00:00:00:00:01".length;

/** As after a start: of no session, and what its NVE claims is stale until it is named again. */
export function partAll(nves: ReadonlyMap<NveId, NveState>, vns: ReadonlyMap<VnId, VnState>): void {
  for (const nve of nves.values()) {
    nve.generation = 0;
    delete nve.deadline;
    nve.vnics.clear();
    for (const vnId of nve.members.keys()) nve.members.set(vnId, 0);
    for (const [vnId, mac] of everyClaim(nve)) part(nve, vns.get(vnId), mac);
  }
}

function part(nve: NveState, vn: VnState | undefined, mac: Mac): void {
  const held = vn?.heldBy(mac, nveSource(nve.row.location.nveId));
  if (held === undefined) return;
  held.generation = 0;
  held.stale = true;
}
