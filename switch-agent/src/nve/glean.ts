import {
  Instant,
  type IpAddress,
  isGroup,
  type Mac,
  type VnId,
  type Vni,
} from "@nve/protocol-spec";
import { Flaps } from "./flaps.ts";
import { type LocalPlace, placeKey } from "./intents.ts";

/** A frame of an access that gleans, without its tag and maybe cut off; without `at`, from the overlay. */
export type Sample = { vni: Vni; at?: LocalPlace; octets: Uint8Array };

/** Who says so, since when, when it was said last, and until when that is believed (H17). Infinite: for ever. */
export type Provenance = {
  by: "source" | "arp" | "nd" | "dhcp";
  since: Instant;
  seen: Instant;
  until: Instant;
};

/** A MAC that was seen at a place, with the IPs that were seen of it. */
export type GleanedMac = {
  mac: Mac;
  at: LocalPlace;
  is: Provenance;
  ips: ReadonlyMap<IpAddress, Provenance>;
};

/** A MAC that was said to be elsewhere, and is seen here all the same: nobody believes it. */
export type Conflict = {
  mac: Mac;
  at: LocalPlace;
  /** Where it was said to be, for people. */
  with: string;
  since: Instant;
  seen: Instant;
  until: Instant;
  times: number;
};

export type GleanOptions = {
  /** Silence after which a MAC, and an IP of ARP or ND, is forgotten, milliseconds. */
  macMs: number;
  ipMs: number;
  /** MACs of one VN at most, over all ports. */
  maxPerVn: number;
};

export const gleanDefaults: GleanOptions = { macMs: 300_000, ipMs: 300_000, maxPerVn: 8192 };
/** MACs gleaned at one port at most, if nobody says. */
export const MAX_GLEANED = 1024;
/** IPs gleaned of one MAC at most. */
export const MAX_IPS = 32;
/** Conflicts of one VN that are shown at a time, and how long after the last frame. */
const MAX_CONFLICTS = 1024;
const CONFLICT_MS = 60_000;
const LOG_MS = 60_000;

/** What was gleaned, and what was not believed and why. */
export type GleanCount =
  | "macs"
  | "ips"
  | "moves"
  | "aged"
  | "conflicts"
  | "flapping"
  | "over-limit"
  | "malformed";

type Entry = GleanedMac & { ips: Map<IpAddress, Provenance> };
type Vn = {
  macs: Map<Mac, Entry>;
  /** Which MAC has it: one. */
  ips: Map<IpAddress, Mac>;
  conflicts: Map<Mac, Conflict & { logged: Instant }>;
};
type Log = (what: string, fields: Readonly<Record<string, unknown>>) => void;

/**
 * What was seen in frames of local places, nobody having said it (H16). What is said comes first: the caller knows
 * it, and keeps it apart. Everything here ages by silence and is bounded by port, VN and MAC.
 */
export class Gleaner {
  readonly #options: GleanOptions;
  readonly #log: Log;
  readonly #vns = new Map<VnId, Vn>();
  readonly #perPort = new Map<string, number>();
  readonly #limits = new Map<string, number>();
  readonly #flaps = new Flaps();
  readonly #counters = new Map<string, Record<GleanCount, number>>();
  #deadline: Instant | undefined;

  constructor(options: GleanOptions, log: Log) {
    this.#options = options;
    this.#log = log;
  }

  /** When something may be old enough to be forgotten: time for `expire`. */
  get deadline(): Instant | undefined {
    return this.#deadline;
  }

  of(vn: VnId): ReadonlyMap<Mac, GleanedMac> {
    return this.#vns.get(vn)?.macs ?? none;
  }

  conflicts(vn: VnId): readonly Conflict[] {
    return [...(this.#vns.get(vn)?.conflicts.values() ?? [])];
  }

  /** MACs gleaned at a port now. */
  at(port: string): number {
    return this.#perPort.get(port) ?? 0;
  }

  counters(port: string): Readonly<Record<GleanCount, number>> {
    return this.#counters.get(port) ?? noCounts;
  }

  count(port: string, what: GleanCount): void {
    const counts = this.#counters.get(port) ?? { ...noCounts };
    counts[what] += 1;
    this.#counters.set(port, counts);
  }

  limit(port: string, max: number): void {
    this.#limits.set(port, max);
  }

  portGone(port: string): void {
    this.#limits.delete(port);
    this.#counters.delete(port);
  }

  /**
   * A MAC is at this place: new, still, or moved there from another; the newest place counts, unless it changes all
   * the time. @returns whether that is news
   */
  mac(vn: VnId, mac: Mac, at: LocalPlace, by: Provenance["by"], now: Instant): boolean {
    if (isGroup(mac) || mac === "00:00:00:00:00:00") return false;
    const known = this.#vns.get(vn)?.macs.get(mac);
    const until = this.#until(now, this.#options.macMs);
    if (known !== undefined && placeKey(known.at) === placeKey(at)) {
      known.is = { ...known.is, seen: now, until };
      return false;
    }
    if (this.#flaps.frozen(vn, mac, now)) return this.#refused(at.port, "flapping");
    if (!this.#hasRoom(vn, at.port, known)) return this.#refused(at.port, "over-limit");
    if (known !== undefined) this.#moved(vn, known, now);
    this.#put(vn, {
      mac,
      at,
      is: { by, since: now, seen: now, until },
      ips: known?.ips ?? new Map(),
    });
    this.count(at.port, known === undefined ? "macs" : "moves");
    return true;
  }

  /**
   * A MAC of ours has an IP. One IP of a VN has one MAC here: the newest counts. A lease is believed as long as it
   * says, whatever ARP and ND repeat meanwhile. @returns whether that is news
   */
  ip(
    vn: VnId,
    mac: Mac,
    ip: IpAddress,
    said: { by: "arp" | "nd" } | { by: "dhcp"; leaseMs: number },
    now: Instant,
  ): boolean {
    const entry = this.#vns.get(vn)?.macs.get(mac);
    if (entry === undefined) return false;
    const known = entry.ips.get(ip);
    const until = this.#until(now, said.by === "dhcp" ? said.leaseMs : this.#options.ipMs);
    if (known !== undefined) {
      const longer = known.by === "dhcp" && said.by !== "dhcp" && known.until > until;
      entry.ips.set(
        ip,
        longer ? { ...known, seen: now } : { ...known, by: said.by, seen: now, until },
      );
      return false;
    }
    if (entry.ips.size >= MAX_IPS) return this.#refused(entry.at.port, "over-limit");
    const { macs, ips } = this.#vn(vn);
    macs.get(ips.get(ip) ?? mac)?.ips.delete(ip);
    ips.set(ip, mac);
    entry.ips.set(ip, { by: said.by, since: now, seen: now, until });
    this.count(entry.at.port, "ips");
    return true;
  }

  /** A MAC is seen here that was said to be elsewhere. It stays there. */
  conflict(vn: VnId, mac: Mac, at: LocalPlace, where: string, now: Instant): void {
    this.count(at.port, "conflicts");
    const { conflicts } = this.#vn(vn);
    const known = conflicts.get(mac);
    if (known === undefined && conflicts.size >= MAX_CONFLICTS) return;
    const again = known !== undefined && now - known.logged < LOG_MS;
    const logged = again ? known.logged : now;
    const until = this.#until(now, CONFLICT_MS);
    const { since = now, times = 0 } = known ?? {};
    const conflict = { mac, at, with: where, since, seen: now, until, times: times + 1, logged };
    conflicts.set(mac, conflict);
    if (again) return;
    const { port, vid: tag } = at;
    this.#log("a MAC is seen where it was not said to be", { vn, mac, port, tag, said: where });
  }

  /** Those of which nothing was heard in time: ask the dataplane, tell `heard`, then `expire`. */
  *due(now: Instant): Generator<{ vn: VnId; mac: Mac; at: LocalPlace }> {
    for (const [vn, { macs }] of this.#vns) {
      for (const { mac, at, is } of macs.values()) if (is.until <= now) yield { vn, mac, at };
    }
  }

  /** A frame of it came in at that place at that time. */
  heard(vn: VnId, mac: Mac, seen: Instant): void {
    const entry = this.#vns.get(vn)?.macs.get(mac);
    if (entry === undefined || seen <= entry.is.seen) return;
    entry.is = { ...entry.is, seen, until: Instant(seen + this.#options.macMs) };
  }

  /** Forgets what is old. @returns the VNs of it */
  expire(now: Instant): ReadonlySet<VnId> {
    const touched = new Set<VnId>();
    const isOver = (until: Instant): boolean => until <= now || this.#later(until) <= now;
    this.#deadline = undefined;
    for (const [vn, { macs, ips: owned, conflicts }] of this.#vns) {
      for (const [mac, { is, at, ips }] of macs) {
        for (const [ip, { until }] of ips) {
          if (isOver(until) && ips.delete(ip) && owned.delete(ip)) touched.add(vn);
        }
        if (!isOver(is.until)) continue;
        this.#remove(vn, mac);
        this.count(at.port, "aged");
        touched.add(vn);
      }
      for (const [mac, { until }] of conflicts) if (isOver(until)) conflicts.delete(mac);
    }
    return touched;
  }

  /** Another NVE has it since: it moved away. */
  movedAway(vn: VnId, mac: Mac, now: Instant): void {
    const entry = this.#vns.get(vn)?.macs.get(mac);
    if (entry === undefined) return;
    this.#moved(vn, entry, now);
    this.#remove(vn, mac);
  }

  /** Keeps those of a VN that are at a place which gleans still, and of which `keep` says so. */
  keep(vn: VnId, places: ReadonlySet<string>, keep: (gleaned: GleanedMac) => boolean): void {
    for (const [mac, entry] of this.#vns.get(vn)?.macs ?? []) {
      if (!places.has(placeKey(entry.at)) || !keep(entry)) this.#remove(vn, mac);
    }
  }

  forget(vn: VnId): void {
    for (const mac of this.of(vn).keys()) this.#remove(vn, mac);
    this.#vns.delete(vn);
  }

  #refused(port: string, why: GleanCount): false {
    this.count(port, why);
    return false;
  }

  #hasRoom(vn: VnId, port: string, known: Entry | undefined): boolean {
    const inVn = known === undefined && this.of(vn).size >= this.#options.maxPerVn;
    const atPort =
      known?.at.port !== port && this.at(port) >= (this.#limits.get(port) ?? MAX_GLEANED);
    return !inVn && !atPort;
  }

  #moved(vn: VnId, { mac, at: { port, vid: tag } }: Entry, now: Instant): void {
    if (!this.#flaps.moved(vn, mac, now)) return;
    this.#log("a MAC moves all the time: it stays where it is for a minute", {
      vn,
      mac,
      port,
      tag,
    });
  }

  #put(vn: VnId, entry: Entry): void {
    const { macs } = this.#vn(vn);
    const known = macs.get(entry.mac);
    if (known !== undefined) this.#countAt(known.at.port, -1);
    this.#countAt(entry.at.port, 1);
    macs.set(entry.mac, entry);
  }

  #remove(vn: VnId, mac: Mac): void {
    const { macs, ips } = this.#vn(vn);
    const entry = macs.get(mac);
    if (entry === undefined) return;
    for (const ip of entry.ips.keys()) ips.delete(ip);
    macs.delete(mac);
    this.#countAt(entry.at.port, -1);
  }

  #countAt(port: string, by: 1 | -1): void {
    const count = this.at(port) + by;
    if (count === 0) this.#perPort.delete(port);
    else this.#perPort.set(port, count);
  }

  #vn(vn: VnId): Vn {
    const known = this.#vns.get(vn) ?? {
      macs: new Map(),
      ips: new Map(),
      conflicts: new Map(),
    };
    this.#vns.set(vn, known);
    return known;
  }

  #until(now: Instant, ms: number): Instant {
    return this.#later(Instant(now + ms));
  }

  /** Something is to be looked at then. */
  #later(until: Instant): Instant {
    if (until !== Number.POSITIVE_INFINITY && (this.#deadline ?? until) >= until)
      this.#deadline = until;
    return until;
  }
}

const none: ReadonlyMap<Mac, GleanedMac> = new Map();
const noCounts: Readonly<Record<GleanCount, number>> = {
  macs: 0,
  ips: 0,
  moves: 0,
  aged: 0,
  conflicts: 0,
  flapping: 0,
  "over-limit": 0,
  malformed: 0,
};
