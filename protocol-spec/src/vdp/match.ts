import type { Mac } from "../ids.ts";
import type { Filters, Tag } from "./filters.ts";

/** Any kind of filter entry. */
type Entry = Tag & { groupId?: number; mac?: Mac };

/**
 * Whether `response` lists the entries of `request`, as many and in the same order (spec/vdp.md 1.6): a VID
 * that was asked for is the same, one that was null may have been filled in. PS and PCP may differ.
 */
export function answers(request: Filters, response: Filters): boolean {
  const theirs: readonly Entry[] = response.entries;
  const ours: readonly Entry[] = request.entries;
  return (
    request.by === response.by &&
    ours.length === theirs.length &&
    ours.every((entry, i) => entryAnswered(entry, theirs[i]))
  );
}

/** Whether `response` names a VID where `request` named none. */
export function namesTags(request: Filters, response: Filters): boolean {
  const theirs: readonly Entry[] = response.entries;
  const ours: readonly Entry[] = request.entries;
  return ours.some(({ vid }, i) => vid === undefined && theirs[i]?.vid !== undefined);
}

/** Whether `request` asks for no more than what is granted: a null VID and the one assigned are the same. */
export function asksForGranted(request: Filters, granted: Filters): boolean {
  const theirs: readonly Entry[] = granted.entries;
  return answers(request, granted) && request.entries.every((tag, i) => samePcp(tag, theirs[i]));
}

/** `want` with the null VIDs of entries that are granted already filled in, as a bridge expects (1.6). */
export function withGrantedVids(want: Filters, granted: Filters): Filters {
  if (want.by !== granted.by) return want;
  switch (want.by) {
    case "vid":
      return { by: want.by, entries: fill(want.entries, granted.entries) };
    case "mac-vid":
      return { by: want.by, entries: fill(want.entries, granted.entries) };
    case "group-vid":
      return { by: want.by, entries: fill(want.entries, granted.entries) };
    case "group-mac-vid":
      return { by: want.by, entries: fill(want.entries, granted.entries) };
  }
}

function fill<E extends Entry>(want: readonly E[], granted: readonly Entry[]): readonly E[] {
  const spare = granted.filter(
    (entry) => !want.some((other) => sameKey(other, entry) && other.vid === entry.vid),
  );
  return want.map((entry) => {
    if (entry.vid !== undefined) return entry;
    const at = spare.findIndex((other) => sameKey(entry, other));
    const [found] = at < 0 ? [] : spare.splice(at, 1);
    return { ...tagOf(found), ...entry };
  });
}

const entryAnswered = (asked: Entry, given: Entry | undefined): boolean =>
  given !== undefined &&
  sameKey(asked, given) &&
  (asked.vid === undefined || asked.vid === given.vid);

const samePcp = (asked: Tag, granted: Tag | undefined): boolean =>
  asked.vid === undefined || asked.pcp === undefined || asked.pcp === granted?.pcp;

const sameKey = (a: Entry, b: Entry): boolean => a.groupId === b.groupId && a.mac === b.mac;

const tagOf = (entry: Tag | undefined): Tag => ({
  ...(entry?.vid === undefined ? {} : { vid: entry.vid }),
  ...(entry?.pcp === undefined ? {} : { pcp: entry.pcp }),
});
