import type { FloodLimit } from "../../nve/intents.ts";
import type { Police } from "./profile.ts";

const SECOND = 1e9;
/** As many as the kernel's maps of the same kind. */
const SIGHTS = 65536;
const BUCKETS = 32768;
/** Samples of one port in a tenth of a second. */
const BURST = 32;
const BURST_NS = 1e8;

/** Nanoseconds; `shown` undefined: never. */
export type Sight = { seen: number; shown?: number };

/** All that `decide` remembers from frame to frame: when something was seen, and what was spent of a limit. */
export class Clocks {
  readonly #sights = new Map<string, Sight>();
  readonly #gauges = new Map<string, { since: number; shown: number }>();
  readonly #spent = new Map<string, number>();
  readonly #policed = new Map<string, number>();

  sight(key: string): Sight | undefined {
    return this.#sights.get(key);
  }

  see(key: string, sight: Sight): void {
    put(this.#sights, key, sight, SIGHTS);
  }

  /** Whether one more sample of this port may be shown. */
  mayShow(gauge: string, now: number): boolean {
    const known = this.#gauges.get(gauge);
    if (known === undefined || now - known.since > BURST_NS) {
      put(this.#gauges, gauge, { since: now, shown: 1 }, SIGHTS);
      return true;
    }
    if (known.shown >= BURST) return false;
    known.shown += 1;
    return true;
  }

  /** GCRA (ITU-T I.371 annex A): the bucket is the time until which it is spent. */
  hasToken(bucket: string, { perSecond, burst }: FloodLimit, now: number): boolean {
    const interval = Math.max(1, Math.round(SECOND / perSecond));
    const from = Math.max(this.#spent.get(bucket) ?? now, now);
    if (from - now > (burst - 1) * interval) return false;
    put(this.#spent, bucket, from + interval, BUCKETS);
    return true;
  }

  /** The same, by octets. What is longer than the burst passes when nothing is owed. */
  mayPass(bucket: string, police: Police | undefined, octets: number, now: number): boolean {
    if (police === undefined) return true;
    const from = Math.max(this.#policed.get(bucket) ?? now, now);
    const until = from + Math.floor(octets * police.cost);
    if (from > now && until - now > police.burst) return false;
    put(this.#policed, bucket, until, BUCKETS);
    return true;
  }

  /** Who comes under that name anew owes nothing. */
  forgive(bucket: string): void {
    this.#policed.delete(bucket);
  }
}

/** The longest unchanged goes when there is no room. */
function put<V>(map: Map<string, V>, key: string, value: V, size: number): void {
  map.delete(key);
  map.set(key, value);
  for (const oldest of map.keys()) {
    if (map.size <= size) break;
    map.delete(oldest);
  }
}
