import type { IpAddress, IpPrefix, Mac, NveId, VnId } from "@nve/protocol-spec";

/** A MAC of a VN behind another NVE, as the NVA says. */
export type Remote = { mac: Mac; ips: readonly IpPrefix[]; nve: NveId; vtep: IpAddress };

/** An NVE that has members of a VN (A10, P8). */
export type Member = { nve: NveId; vtep: IpAddress };

/** What the NVA tells of one VN, already without ourselves. */
export type RemoteChange = {
  vn: VnId;
  mappings: readonly Remote[];
  withdrawn: readonly Mac[];
  members: readonly Member[];
  membersLeft: readonly NveId[];
};

type Entry = {
  remotes: Map<Mac, Remote>;
  members: Map<NveId, Member>;
  /** Named by the NVA at least once, wholly: what is not here then is nowhere. */
  complete: boolean;
  /** Not named yet by the snapshot that runs. */
  marked?: { macs: Set<Mac>; nves: Set<NveId> };
};

/** Who is where beyond this NVE, for the VNs that are watched and no others (P4, A17). */
export class Fdb {
  readonly #vns = new Map<VnId, Entry>();

  watch(vn: VnId): void {
    if (this.#vns.has(vn)) return;
    this.#vns.set(vn, { remotes: new Map(), members: new Map(), complete: false });
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

  complete(vn: VnId): boolean {
    return this.#vns.get(vn)?.complete ?? false;
  }

  /** All that is known is in doubt until it is named again; it serves meanwhile. */
  beginSnapshot(vn: VnId): void {
    const entry = this.#vns.get(vn);
    if (entry === undefined) return;
    entry.marked = { macs: new Set(entry.remotes.keys()), nves: new Set(entry.members.keys()) };
  }

  /** @returns whether anything is different: not when it tells our own addresses, or the same once more */
  apply(change: RemoteChange): boolean {
    const entry = this.#vns.get(change.vn);
    if (entry === undefined) return false; // of a VN that we have left meanwhile
    let changed = false;
    for (const remote of change.mappings) {
      changed ||= !sameRemote(entry.remotes.get(remote.mac), remote);
      entry.remotes.set(remote.mac, remote);
      entry.marked?.macs.delete(remote.mac);
    }
    for (const mac of change.withdrawn) changed = entry.remotes.delete(mac) || changed;
    for (const member of change.members) {
      changed ||= entry.members.get(member.nve)?.vtep !== member.vtep;
      entry.members.set(member.nve, member);
      entry.marked?.nves.delete(member.nve);
    }
    for (const nve of change.membersLeft) changed = entry.members.delete(nve) || changed;
    return changed;
  }

  /** What the snapshot did not name is gone. */
  endSnapshot(vn: VnId): void {
    const entry = this.#vns.get(vn);
    if (entry === undefined) return;
    for (const mac of entry.marked?.macs ?? []) entry.remotes.delete(mac);
    for (const nve of entry.marked?.nves ?? []) entry.members.delete(nve);
    delete entry.marked;
    entry.complete = true;
  }
}

const sameRemote = (a: Remote | undefined, b: Remote): boolean =>
  a !== undefined &&
  a.nve === b.nve &&
  a.vtep === b.vtep &&
  a.ips.length === b.ips.length &&
  a.ips.every((ip, i) => ip === b.ips[i]);
