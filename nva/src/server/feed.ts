import { IpPrefix, Mac, NveId, VnId } from "@nve/protocol-spec";
import type { Inventory } from "../authority/inventory.ts";
import { type Touch, type Touched, touchOf } from "../authority/records.ts";
import type { Batch, RowChange } from "../store/store.ts";

type Mark = { revision: number } & ({ mac: Mac } | { nve: NveId } | { vn: true });
/** What commits are about. */
type Replayed = Pick<Inventory, "catalogue" | "vn" | "nve">;
type Log = { /** What came after this revision is all here. */ floor: number; marks: Mark[] };

/** What changed in each VN of late: lets a watcher go on where it was, without a snapshot. */
export class Feed {
  readonly #logs = new Map<VnId, Log>();
  /** When VNs ended that are not there: what came before is not theirs, should there be another of the same ID. */
  readonly #ended = new Map<VnId, number>();
  readonly #keep: number;
  #floor: number;

  /** @param floor the revision after which everything is going to be recorded */
  constructor(floor: number, keep = 8192) {
    this.#floor = floor;
    this.#keep = keep;
  }

  /** @param gone whether a touched VN is there no more */
  record(touched: Touched, revision: number, gone: (vnId: VnId) => boolean): void {
    for (const [vnId, { vn, macs, members, life }] of touched) {
      if (gone(vnId)) {
        if (vn) this.#end(vnId, revision);
        continue; // what is left of it is nobody's
      }
      // What came before, under the same ID, is not its own.
      if (life) this.#begin(vnId, revision);
      const log = this.#logOf(vnId);
      if (vn && !life) log.marks.push({ revision, vn });
      for (const mac of macs) log.marks.push({ revision, mac });
      for (const nve of members) log.marks.push({ revision, nve });
      this.#trim(log);
    }
  }

  /** What changed after `revision`; `undefined` when that is too long ago, or of another life of the VN. */
  since(vnId: VnId, revision: number): Touch | undefined {
    const log = this.#logs.get(vnId);
    if (revision < (log?.floor ?? this.#floor)) return undefined;
    const touch: Touch = { vn: false, macs: new Set(), members: new Set() };
    for (let i = (log?.marks.length ?? 0) - 1; i >= 0; i--) {
      const mark = log?.marks[i];
      if (mark === undefined || mark.revision <= revision) break;
      if ("vn" in mark) touch.vn = true;
      else if ("mac" in mark) touch.macs.add(mark.mac);
      else touch.members.add(mark.nve);
    }
    return touch;
  }

  /** Takes in what a store remembers of its last commits, in their order. */
  replay({ revision, changes }: Batch, all: Replayed): void {
    const touched: Touched = new Map();
    for (const change of changes) touchedBy(change, all, touched);
    this.record(touched, revision, (vnId) => all.vn(vnId) === undefined);
  }

  #logOf(vnId: VnId): Log {
    const known = this.#logs.get(vnId);
    if (known !== undefined) return known;
    return this.#begin(vnId, this.#ended.get(vnId) ?? this.#floor);
  }

  #begin(vnId: VnId, floor: number): Log {
    const log: Log = { floor, marks: [] };
    this.#logs.set(vnId, log);
    this.#ended.delete(vnId);
    return log;
  }

  /** Of those that ended longest ago it is known only that it was before a revision, which counts for all others too. */
  #end(vnId: VnId, revision: number): void {
    this.#logs.delete(vnId);
    this.#ended.delete(vnId);
    this.#ended.set(vnId, revision);
    const [oldest] = this.#ended;
    if (this.#ended.size <= mostEnded || oldest === undefined) return;
    this.#ended.delete(oldest[0]);
    this.#floor = Math.max(this.#floor, oldest[1]);
  }

  #trim(log: Log): void {
    if (log.marks.length <= this.#keep) return;
    const cut = log.marks.length - Math.floor(this.#keep / 2);
    log.floor = log.marks[cut - 1]?.revision ?? log.floor;
    log.marks.splice(0, cut);
  }
}

/** VNs that are not there any more, whose ends are remembered. */
const mostEnded = 10_000;

const vnOf = (key: string): VnId => VnId(Number.parseInt(key.slice(0, 6), 16));

function touchedBy({ table, key, value }: RowChange, all: Replayed, touched: Touched): void {
  const rest = key.slice(7);
  switch (table) {
    case "vn": {
      const touch = touchOf(touched, vnOf(key));
      touch.vn = true;
      // Whoever knew it under this ID before its creation knew an earlier one, whose deletion came between (#ended).
      if (value === undefined) touch.life = true;
      return;
    }
    case "profile":
      for (const vnId of all.catalogue.vnsOfProfile(key)) touchOf(touched, vnId).vn = true;
      return;
    case "member":
      touchOf(touched, vnOf(key)).members.add(NveId(rest));
      return;
    case "claim":
      touchOf(touched, vnOf(key)).macs.add(Mac(rest.slice(0, 17)));
      return;
    case "duplicate": {
      // Of a MAC its claim is rewritten too; a frozen IP shows in the mappings of all that have it.
      const vn = all.vn(vnOf(key));
      const ip = /^([0-9a-f]{2}:){5}/.test(rest) ? undefined : IpPrefix(rest);
      for (const mac of ip === undefined ? [] : (vn?.macsWith(ip) ?? []))
        touchOf(touched, vnOf(key)).macs.add(mac);
      return;
    }
    case "nve": {
      // Its place or its being lost shows in all that it has.
      const nve = all.nve(NveId(key));
      for (const vnId of nve?.members.keys() ?? []) touchOf(touched, vnId).members.add(NveId(key));
      for (const [vnId, macs] of nve?.macs ?? [])
        for (const mac of macs) touchOf(touched, vnId).macs.add(mac);
      return;
    }
    default: // no watcher sees them
      return;
  }
}
