import { type IpPrefix, Ledger, type Mac, type NveId, type VnId } from "@nve/protocol-spec";
import type { Way } from "./encapsulations.ts";

/** A MAC of a VN behind another NVE, as the NVA says. */
export type Remote = { mac: Mac; ips: readonly IpPrefix[]; nve: NveId } & Way;

/** An NVE that has members of a VN (A10, P8). */
export type Member = { nve: NveId } & Way;

/** What the NVA tells of one VN, already without ourselves. */
export type RemoteChange = {
  vn: VnId;
  mappings: readonly Remote[];
  withdrawn: readonly Mac[];
  members: readonly Member[];
  membersLeft: readonly NveId[];
  /** What digests are of, of all that was told, ours too. A mapping or member without counts as another. */
  digests?: {
    mappings: readonly (readonly [Mac, Uint8Array])[];
    members: readonly (readonly [NveId, Uint8Array])[];
  };
};

/** All that was told of a VN, ours too, and how often that changed. */
export type Told = {
  mappings: number;
  digest: bigint;
  members: number;
  membersDigest: bigint;
  changes: number;
};

type Entry = {
  remotes: Map<Mac, Remote>;
  members: Map<NveId, Member>;
  /** Named by the NVA at least once, wholly: what is not here then is nowhere. */
  complete: boolean;
  /** How many MACs each NVE has. */
  heard: Map<NveId, number>;
  /** Members of which no MAC is known. */
  silent: Set<NveId>;
  /** Of the members; undefined: to be listed anew. */
  ways?: readonly Way[] | undefined;
  /** What was told comes to this, mapping by mapping and member by member. */
  toldMacs: Ledger<Mac>;
  toldNves: Ledger<NveId>;
  changes: number;
  /** Not named yet by the snapshot that runs. */
  marked?: { macs: Set<Mac>; nves: Set<NveId> };
};

/** Who is where beyond this NVE, for the VNs that are watched and no others (P4, A17). */
export class Fdb {
  readonly #vns = new Map<VnId, Entry>();

  watch(vn: VnId): void {
    if (this.#vns.has(vn)) return;
    const none = {
      remotes: new Map(),
      members: new Map(),
      heard: new Map(),
      silent: new Set<NveId>(),
      toldMacs: new Ledger<Mac>(),
      toldNves: new Ledger<NveId>(),
    };
    this.#vns.set(vn, { ...none, changes: 0, complete: false });
  }

  unwatch(vn: VnId): void {
    this.#vns.delete(vn);
  }

  remotes(vn: VnId): ReadonlyMap<Mac, Remote> {
    return this.#vns.get(vn)?.remotes ?? new Map();
  }

  members(vn: VnId): ReadonlyMap<NveId, Member> {
    return this.#vns.get(vn)?.members ?? new Map();
  }

  /** Each underlay address of the members once, sorted; the same list for as long as nothing is different. */
  ways(vn: VnId): readonly Way[] {
    const entry = this.#vns.get(vn);
    if (entry === undefined) return noWays;
    if (entry.ways === undefined) {
      const ways = new Map<string, Way>();
      for (const member of entry.members.values()) ways.set(member.vtep, member);
      entry.ways = [...ways.values()].sort((a, b) => (a.vtep < b.vtep ? -1 : 1));
    }
    return entry.ways;
  }

  /**
   * Behind some NVE somebody is in the VN whose MAC nobody was told (filter formats 1 and 3), since it has members
   * but no mapping: only a flood reaches them.
   */
  hasSilent(vn: VnId): boolean {
    return (this.#vns.get(vn)?.silent.size ?? 0) > 0;
  }

  complete(vn: VnId): boolean {
    return this.#vns.get(vn)?.complete ?? false;
  }

  /** Undefined while it is not told wholly; "later" when more than `most` digests were to be made first. */
  told(vn: VnId, most = Number.POSITIVE_INFINITY): Told | "later" | undefined {
    const entry = this.#vns.get(vn);
    if (entry === undefined || !entry.complete || entry.marked !== undefined) return undefined;
    const { toldMacs, toldNves, changes } = entry;
    if (toldNves.settle() + toldMacs.settle(most) > 0) return "later";
    return {
      mappings: toldMacs.size,
      digest: toldMacs.digest,
      members: toldNves.size,
      membersDigest: toldNves.digest,
      changes,
    };
  }

  /** All that is known is in doubt until it is named again; it serves meanwhile. */
  beginSnapshot(vn: VnId): undefined {
    const entry = this.#vns.get(vn);
    if (entry === undefined) return;
    entry.changes += 1;
    entry.marked = {
      macs: new Set([...entry.remotes.keys(), ...entry.toldMacs.keys()]),
      nves: new Set([...entry.members.keys(), ...entry.toldNves.keys()]),
    };
  }

  /** @returns whether anything is different: not when it tells our own addresses, or the same once more */
  apply(change: RemoteChange): boolean {
    const entry = this.#vns.get(change.vn);
    if (entry === undefined) return false; // of a VN that we have left meanwhile
    let changed = false;
    note(entry, change);
    for (const remote of change.mappings) {
      changed ||= !sameRemote(entry.remotes.get(remote.mac), remote);
      putRemote(entry, remote.mac, remote);
      entry.marked?.macs.delete(remote.mac);
    }
    for (const mac of change.withdrawn) changed = putRemote(entry, mac, undefined) || changed;
    for (const member of change.members) {
      changed ||= !sameWay(entry.members.get(member.nve), member);
      putMember(entry, member.nve, member);
      entry.marked?.nves.delete(member.nve);
    }
    for (const nve of change.membersLeft) changed = putMember(entry, nve, undefined) || changed;
    return changed;
  }

  /** What the snapshot did not name is gone. @returns the MACs that are */
  endSnapshot(vn: VnId): readonly Mac[] {
    const entry = this.#vns.get(vn);
    if (entry === undefined) return [];
    const { macs = [], nves = [] } = entry.marked ?? {};
    entry.changes += 1;
    for (const mac of macs) {
      putRemote(entry, mac, undefined);
      entry.toldMacs.put(mac, undefined);
    }
    for (const nve of nves) {
      putMember(entry, nve, undefined);
      entry.toldNves.put(nve, undefined);
    }
    delete entry.marked;
    entry.complete = true;
    return [...macs];
  }
}

/** What is held without a digest is as if it were not: its digest is missing then, and that is found. */
function note(entry: Entry, change: RemoteChange): void {
  const { toldMacs, toldNves, marked } = entry;
  entry.changes += 1;
  for (const { mac } of change.mappings) toldMacs.put(mac, undefined);
  for (const mac of change.withdrawn) toldMacs.put(mac, undefined);
  for (const { nve } of change.members) toldNves.put(nve, undefined);
  for (const nve of change.membersLeft) toldNves.put(nve, undefined);
  for (const [mac, digest] of change.digests?.mappings ?? []) {
    toldMacs.put(mac, digest);
    marked?.macs.delete(mac);
  }
  for (const [nve, digest] of change.digests?.members ?? []) {
    toldNves.put(nve, digest);
    marked?.nves.delete(nve);
  }
}

const noWays: readonly Way[] = [];

/** @returns whether there was one */
function putRemote(entry: Entry, mac: Mac, remote: Remote | undefined): boolean {
  const { remotes, heard } = entry;
  const was = remotes.get(mac);
  if (remote === undefined) remotes.delete(mac);
  else remotes.set(mac, remote);
  if (was?.nve === remote?.nve) return was !== undefined;
  for (const [one, by] of [
    [was, -1],
    [remote, 1],
  ] as const) {
    if (one === undefined) continue;
    const count = (heard.get(one.nve) ?? 0) + by;
    if (count === 0) heard.delete(one.nve);
    else heard.set(one.nve, count);
    listen(entry, one.nve);
  }
  return was !== undefined;
}

/** @returns whether there was one */
function putMember(entry: Entry, nve: NveId, member: Member | undefined): boolean {
  const was = entry.members.get(nve);
  if (member === undefined) entry.members.delete(nve);
  else entry.members.set(nve, member);
  if (!sameWay(was, member)) entry.ways = undefined;
  listen(entry, nve);
  return was !== undefined;
}

function listen({ members, heard, silent }: Entry, nve: NveId): void {
  if (members.has(nve) && !heard.has(nve)) silent.add(nve);
  else silent.delete(nve);
}

const sameWay = (a: Way | undefined, b: Way | undefined): boolean =>
  a?.vtep === b?.vtep && a?.via === b?.via;

const sameRemote = (a: Remote | undefined, b: Remote): boolean =>
  a !== undefined &&
  a.nve === b.nve &&
  sameWay(a, b) &&
  a.ips.length === b.ips.length &&
  a.ips.every((ip, i) => ip === b.ips[i]);
