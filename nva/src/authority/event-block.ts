import type { EventBlock, EventDifference, EventRow } from "./records.ts";

// Events of one commit stand in few rows: a row for each would cost as much as all that the commit is about.

/** The numbers of a block begin alike but for so many digits: what follows a number is found without all that is before. */
export const blockDigits = 3;
const alike = 10 ** blockDigits;
/** About the octets of a block; one event may be longer. */
const most = 64_000;

/** @param rows of one commit, in the order of their numbers */
export function blocksOf(rows: readonly EventRow[]): EventBlock[] {
  const blocks: (EventRow & { more: EventDifference[] })[] = [];
  let octets = 0;
  let before: EventRow | undefined;
  for (const row of rows) {
    const difference = before === undefined ? {} : differenceOf(before, row);
    before = row;
    octets += sizeOf(difference);
    const block = row.id % alike === 0 || octets > most ? undefined : blocks.at(-1);
    if (block !== undefined) {
      block.more.push(difference);
      continue;
    }
    blocks.push({ ...row, more: [] });
    octets = sizeOf(row);
  }
  return blocks.map(({ more, ...first }) => (more.length === 0 ? first : { ...first, more }));
}

/** In the order of their numbers. */
export function eventsIn({ more = [], ...first }: EventBlock): EventRow[] {
  const rows: EventRow[] = [first];
  let last: EventRow = first;
  for (const difference of more) {
    last = afterwards(last, difference);
    rows.push(last);
  }
  return rows;
}

function differenceOf(before: EventRow, row: EventRow): EventDifference {
  return {
    ...(row.actor !== before.actor && { actor: row.actor }),
    ...(row.action !== before.action && { action: row.action }),
    ...(row.object !== before.object && { object: row.object }),
    ...(row.refused !== before.refused && { refused: row.refused ?? false }),
    ...detailDifference(before.detail, row.detail),
  };
}

type Detail = EventRow["detail"];

function detailDifference(before: Detail, detail: Detail): EventDifference {
  if (before === undefined) return detail === undefined ? {} : { detail };
  if (detail === undefined) return { detail: false };
  const fresh = Object.entries(detail).filter(([key, value]) => value !== before[key]);
  const gone = Object.keys(before).filter((key) => !Object.hasOwn(detail, key));
  return {
    ...(fresh.length > 0 && { detail: Object.fromEntries(fresh) }),
    ...(gone.length > 0 && { gone }),
  };
}

function afterwards(before: EventRow, difference: EventDifference): EventRow {
  const { refused = before.refused, gone = [] } = difference;
  const detail = detailAfter(before.detail, difference.detail, gone);
  return {
    id: before.id + 1,
    atUnixMs: before.atUnixMs,
    actor: difference.actor ?? before.actor,
    action: difference.action ?? before.action,
    object: difference.object ?? before.object,
    ...(refused !== undefined && refused !== false && { refused }),
    ...(detail !== undefined && { detail }),
  };
}

function detailAfter(
  before: Detail,
  difference: EventDifference["detail"],
  gone: readonly string[],
): Detail {
  if (difference === false) return undefined;
  if (gone.length === 0) return difference === undefined ? before : { ...before, ...difference };
  const kept = Object.entries(before ?? {}).filter(([key]) => !gone.includes(key));
  return { ...Object.fromEntries(kept), ...difference };
}

/** About the octets of a value as JSON. */
function sizeOf(value: unknown): number {
  if (typeof value === "string") return value.length + 3;
  if (typeof value !== "object" || value === null) return 8;
  let octets = 2;
  for (const [key, one] of Object.entries(value)) octets += key.length + 4 + sizeOf(one);
  return octets;
}
