import { type BpfMap, type BpfObject, struct, u32, u64 } from "@nve/linux/bpf";
import type { Vni } from "@nve/protocol-spec";
import type { FloodLimit } from "../../nve/intents.ts";

/** The map of programs/limits.h: nanoseconds. */
export type LimitMaps = {
  floodLimits: BpfMap<{ of: number; kind: number }, { interval: number; ahead: number }>;
};

export const limitMaps = (object: BpfObject): LimitMaps => ({
  floodLimits: object.map(
    "flood_limits",
    struct({ of: u32, kind: u32 }),
    struct({ interval: u64, ahead: u64 }),
  ),
});

const kind = { vn: 0, port: 1 } as const;

/** What each place of a VN, and each port, may send to all (P12, V11). */
export class Limits {
  readonly #map: LimitMaps["floodLimits"];
  /** A port has as many accesses as tags, and one limit. */
  readonly #ports = new Map<number, FloodLimit>();

  constructor({ floodLimits }: LimitMaps) {
    this.#map = floodLimits;
  }

  vn(vni: Vni, limit: FloodLimit | undefined): void {
    this.#put({ of: vni, kind: kind.vn }, limit);
  }

  port(ifindex: number, limit: FloodLimit | undefined): void {
    const was = this.#ports.get(ifindex);
    if (was?.perSecond === limit?.perSecond && was?.burst === limit?.burst) return;
    this.#put({ of: ifindex, kind: kind.port }, limit);
    if (limit === undefined) this.#ports.delete(ifindex);
    else this.#ports.set(ifindex, limit);
  }

  ofVn(vni: Vni): FloodLimit | undefined {
    return limitOf(this.#map.get({ of: vni, kind: kind.vn }));
  }

  ofPort(ifindex: number): FloodLimit | undefined {
    return limitOf(this.#map.get({ of: ifindex, kind: kind.port }));
  }

  #put(key: { of: number; kind: number }, limit: FloodLimit | undefined): void {
    if (limit === undefined) this.#map.delete(key);
    else this.#map.set(key, bucketOf(limit));
  }
}

const SECOND = 1_000_000_000;

function bucketOf({ perSecond, burst }: FloodLimit) {
  const interval = Math.max(1, Math.round(SECOND / perSecond));
  return { interval, ahead: (burst - 1) * interval };
}

/** As it was asked for, as long as a second has 20,000 of them at the most; beyond that nearly. */
function limitOf(bucket: { interval: number; ahead: number } | undefined): FloodLimit | undefined {
  if (bucket === undefined) return undefined;
  const { interval, ahead } = bucket;
  return { perSecond: Math.round(SECOND / interval), burst: ahead / interval + 1 };
}
