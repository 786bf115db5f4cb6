import { bits, type Reader, Writer } from "../bytes.ts";
import { DecodeError, OutOfRange } from "../errors.ts";
import { type Mac, macFrom, macOctets, Vid, VnId } from "../ids.ts";
import { MAX_TLV_LENGTH } from "../tlv.ts";

/**
 * The frames a VSI claims (802.1Q clause 41; spec/vdp.md 1.5). Without a VID the bridge chooses one.
 * One TLV holds one kind of filter; 1 … 243 (vid), 60 (mac), 81 (group), 40 (group-mac) entries fit a TLV.
 *
 *   octets  1        2             4 (3, 4)   6 (2, 4)  2
 *         | format | count | then | GroupID  | MAC     | PS:1 PCP:3 VID:12 | `count` times
 */
export type Filters =
  | { by: "vid"; entries: readonly Tag[] }
  | { by: "mac-vid"; entries: readonly (Tag & { mac: Mac })[] }
  | { by: "group-vid"; entries: readonly (Tag & { groupId: number })[] }
  | { by: "group-mac-vid"; entries: readonly (Tag & { groupId: number; mac: Mac })[] };

/** `pcp` is there when PS is set. */
export type Tag = { pcp?: number; vid?: Vid };

/** Format number on the wire and octets of one entry. */
const KINDS = {
  vid: { format: 1, size: 2 },
  "mac-vid": { format: 2, size: 8 },
  "group-vid": { format: 3, size: 6 },
  "group-mac-vid": { format: 4, size: 12 },
} as const;

/** Octets of an association TLV's information string in front of the entries. */
const BEFORE_ENTRIES = 25;

/** How many entries fit one association TLV: its information string has at most 511 octets. */
export const maxEntries = (by: Filters["by"]): number =>
  Math.floor((MAX_TLV_LENGTH - BEFORE_ENTRIES) / KINDS[by].size);

/** Octets of the information string of an association TLV with so many entries. */
export const associationLength = (by: Filters["by"], entries: number): number =>
  BEFORE_ENTRIES + KINDS[by].size * entries;

/** A GroupID is a VN ID when its top octet is 0 (802.1Qcy); 0 names no VN. */
export const vnIdOfGroup = (groupId: number): VnId | undefined =>
  groupId >= 1 && groupId <= 0xffffff ? VnId(groupId) : undefined;

/**
 * Reads to the end, for the entries stand last in their TLV.
 * @throws DecodeError `unsupported` for an unknown format; `bad-value` when there are no entries, or their
 *   count disagrees with the length, or a VID is 4095
 */
export function readFilters(r: Reader): Filters {
  const format = r.uint(1);
  const count = r.uint(2);
  switch (format) {
    case 1:
      return { by: "vid", entries: readEntries(r, count, 2, readTag) };
    case 2:
      return { by: "mac-vid", entries: readEntries(r, count, 8, readMacVid) };
    case 3:
      return { by: "group-vid", entries: readEntries(r, count, 6, readGroupVid) };
    case 4:
      return { by: "group-mac-vid", entries: readEntries(r, count, 12, readGroupMacVid) };
    default:
      throw new DecodeError("unsupported", `filter info format ${format}`);
  }
}

/** @throws OutOfRange when there are no entries, or more than fit one TLV, or a field does not fit */
export function filterOctets(filters: Filters): Uint8Array {
  const w = new Writer(3 + KINDS[filters.by].size * filters.entries.length);
  writeFilters(w, filters);
  return w.end();
}

/** @throws OutOfRange as {@link filterOctets} */
export function writeFilters(w: Writer, { by, entries }: Filters): void {
  if (entries.length < 1 || entries.length > maxEntries(by)) {
    throw new OutOfRange(`${entries.length} ${by} entries, not 1..${maxEntries(by)}`);
  }
  w.uint(1, KINDS[by].format).uint(2, entries.length);
  for (const entry of entries) writeEntry(w, entry);
}

function readEntries<E>(r: Reader, count: number, size: number, read: (r: Reader) => E): E[] {
  if (count < 1 || count * size !== r.left) {
    throw new DecodeError("bad-value", `${count} entries of ${size} octets in ${r.left} octets`);
  }
  const entries: E[] = [];
  while (entries.length < count) entries.push(read(r));
  return entries;
}

const readMacVid = (r: Reader) => ({ mac: macFrom(r.take(6)), ...readTag(r) });
const readGroupVid = (r: Reader) => ({ groupId: r.uint(4), ...readTag(r) });
const readGroupMacVid = (r: Reader) => ({
  groupId: r.uint(4),
  mac: macFrom(r.take(6)),
  ...readTag(r),
});

/** PCP says nothing unless PS is set; VID 0 is none. */
function readTag(r: Reader): Tag {
  const word = r.uint(2);
  const vid = word & 0xfff;
  const tag: Tag = (word & 0x8000) === 0 ? {} : { pcp: (word >> 12) & 7 };
  if (vid !== 0) tag.vid = Vid(vid);
  return tag;
}

/** What an entry of its kind has, in the order that all kinds have. */
function writeEntry(w: Writer, entry: Tag & { groupId?: number; mac?: Mac }): void {
  if (entry.groupId !== undefined) w.uint(4, entry.groupId);
  if (entry.mac !== undefined) w.put(macOctets(entry.mac));
  writeTag(w, entry);
}

function writeTag(w: Writer, { pcp, vid }: Tag): void {
  const priority = pcp === undefined ? 0 : 0x8000 | (bits(3, pcp) << 12);
  w.uint(2, priority | (vid ?? 0));
}
