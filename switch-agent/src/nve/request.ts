import type { IpPrefix } from "@nve/protocol-spec";
import {
  type Filters,
  holdsHosts,
  isGroup,
  type Mac,
  OutOfRange,
  VdpError,
  type Vid,
  VnId,
  type VsiAddress,
} from "@nve/protocol-spec";
import type { TagPool } from "./tag-pool.ts";
import type { VnicContent } from "./tree.ts";
import type { Ask, Entry, Fixed, Granted, PortTag, Refusal } from "./vsi.ts";

/**
 * Which VNs and MACs the filters name. Formats 1 and 2 have no GroupID: there the tag must already be lent
 * on this port, and the VN is the one that it is lent to (V8). @returns the first fault as a refusal.
 */
export function entriesOf(
  filters: Filters | Fixed,
  vnOf: (vid: Vid) => VnId | undefined,
): readonly Entry[] | Refusal {
  if (filters.entries.length === 0) {
    return { code: VdpError.invalidFormat, hard: true, reason: "the filter info has no entry" };
  }
  if (filters.by === "fixed") {
    return filters.entries.map(({ tag, ...entry }) => ({ ...entry, vid: tag, fixed: true }));
  }
  const entries: Entry[] = [];
  for (const filter of filters.entries) {
    const vn = "groupId" in filter ? vnIdOf(filter.groupId) : vnOfTag(filter.vid, vnOf);
    if (typeof vn === "string") return refused(vn);
    const mac = "mac" in filter ? (filter.mac as Mac) : undefined;
    if (mac !== undefined && !isStation(mac)) return refused(`${mac} is no address of a station`);
    entries.push({ vn, ...optional("vid", filter.vid), ...optional("mac", mac) });
  }
  return entries;
}

/** The filters with every VID filled in; `vids` in the order of the entries. What is fixed stays as it is. */
export function withVids(
  filters: Filters | Fixed,
  vids: readonly (PortTag | undefined)[],
): Filters | Fixed {
  return filters.by === "fixed" ? filters : withLent(filters, vids);
}

/** @param vids of tags that were lent: 0 is none of them */
export function withLent(filters: Filters, vids: readonly (PortTag | undefined)[]): Filters {
  const tagged = <T extends object>(entries: readonly T[]): T[] =>
    entries.map((entry, i) => ({ ...entry, ...optional("vid", vids[i] || undefined) }));
  switch (filters.by) {
    case "vid":
      return { by: "vid", entries: tagged(filters.entries) };
    case "mac-vid":
      return { by: "mac-vid", entries: tagged(filters.entries) };
    case "group-vid":
      return { by: "group-vid", entries: tagged(filters.entries) };
    case "group-mac-vid":
      return { by: "group-mac-vid", entries: tagged(filters.entries) };
  }
}

/**
 * VN → MAC → IP of a VSI. An address that names no VN belongs to every VN that has its MAC; one that names no MAC
 * belongs to the only one there is (lldpad's). One whose VN or MAC the VSI does not have is not its own and left out,
 * and so is one that no host has.
 */
export function contentOf(
  entries: readonly Entry[],
  addresses: readonly VsiAddress[] = [],
): VnicContent {
  const content = new Map<VnId, Map<Mac, Set<IpPrefix>>>();
  for (const { vn, mac } of entries) {
    const macs = content.get(vn) ?? new Map<Mac, Set<IpPrefix>>();
    content.set(vn, macs);
    if (mac !== undefined && !macs.has(mac)) macs.set(mac, new Set());
  }
  for (const address of addresses) {
    const { vn, ip } = address;
    if (!holdsHosts(ip)) continue;
    const among = vn !== undefined ? [content.get(vn)] : [...content.values()];
    const unnamed = address.mac === undefined && among.length > 1;
    for (const macs of unnamed ? [] : among) {
      const mac = address.mac ?? only(macs?.keys() ?? []);
      if (mac !== undefined) macs?.get(mac)?.add(ip);
    }
  }
  return content;
}

export const noHost = (ip: IpPrefix): Refusal => ({
  code: VdpError.invalidFormat,
  hard: false,
  reason: `${ip} is no address that a host has`,
});

/** Why an entry cannot have its tag on this port. */
export function noTag(port: string, pool: TagPool, { vn, vid, fixed }: Entry): Refusal {
  if (vid === undefined) {
    const reason = `port ${port} has no tag left for VN ${vn}: all ${pool.lent.size} are lent`;
    return { code: VdpError.insufficientResources, hard: false, reason };
  }
  const lent = pool.tagOf(vn);
  if (fixed) return notFree(port, pool, vn, vid);
  const right =
    lent === undefined
      ? "it is lent to another VN or not in the port's range"
      : `its tag is ${lent}`;
  const reason = `port ${port} did not lend tag ${vid} to VN ${vn}: ${right}`;
  return { code: VdpError.invalidVidGroupOrMac, hard: false, reason };
}

function notFree(port: string, pool: TagPool, vn: VnId, tag: PortTag): Refusal {
  const lent = pool.tagOf(vn);
  const frames = tag === 0 ? "untagged frames" : `tag ${tag}`;
  const reason =
    lent === undefined
      ? `${frames} of port ${port} are of VN ${pool.vnOf(tag)} already`
      : `VN ${vn} has ${lent === 0 ? "the untagged frames" : `tag ${lent}`} of port ${port} already`;
  return { code: VdpError.invalidVidGroupOrMac, hard: false, reason };
}

/** Is it what was asked for, or why not? */
export const isList = <T>(value: readonly T[] | Refusal): value is readonly T[] =>
  Array.isArray(value);

/** For the log. */
export const reasons = ({ reason, detail }: Refusal) => ({
  reason,
  ...(detail !== undefined && { detail }),
});

export const named = ({ port, vnic, station }: Ask) => ({
  port,
  vnic,
  ...(station && { station }),
});

/** Of one that is in force. */
export function standing({ ask, entries }: Granted, pool: TagPool) {
  const vns = [...new Set(entries.map(({ vn }) => vn))];
  return { ...named(ask), state: ask.mode, vns, tags: vns.map((vn) => pool.tagOf(vn)) };
}

/** @param said to the station */
export const notTaken = ({ said, reason: detail }: { said?: string; reason: string }): Refusal => ({
  code: VdpError.insufficientResources,
  hard: false,
  reason: said ?? "the dataplane did not take it",
  detail,
});

/**
 * A VSI that was active and stays so keeps its place among those that have the same MAC; one that is resumed is as one that
 * comes back (H20).
 */
export const stays = (ask: Ask, older: Ask): boolean =>
  older.mode === "associate" && ask.mode === "associate" && (!older.suspended || ask.suspended);

function vnIdOf(groupId: number): VnId | string {
  try {
    return VnId(groupId);
  } catch (error) {
    if (error instanceof OutOfRange) return `GroupID ${groupId} is no VN ID: ${error.message}`;
    throw error;
  }
}

function vnOfTag(vid: Vid | undefined, vnOf: (vid: Vid) => VnId | undefined): VnId | string {
  if (vid === undefined) return "neither a GroupID nor a VID names the VN";
  return vnOf(vid) ?? `tag ${vid} was never lent on this port, and no GroupID names the VN`;
}

const refused = (reason: string): Refusal => ({
  code: VdpError.invalidVidGroupOrMac,
  hard: false,
  reason,
});

const isStation = (mac: Mac): boolean => !isGroup(mac) && mac !== "00:00:00:00:00:00";

function only<T>(values: Iterable<T>): T | undefined {
  const [first, second] = values;
  return second === undefined ? first : undefined;
}

function optional<K extends string, V>(key: K, value: V | undefined): { [P in K]?: V } {
  return value === undefined ? {} : ({ [key]: value } as { [P in K]: V });
}
