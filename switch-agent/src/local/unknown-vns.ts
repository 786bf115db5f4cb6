import type { Clock } from "@nve/linux";
import { type Budget, budget } from "@nve/linux";
import { Instant, type Uuid, type VnId } from "@nve/protocol-spec";
import type { Verdict } from "@nve/switch-agent/nve";

const UNKNOWN_MS = 1000;
/** Of what one port is told to be unknown: at once, and a second. Up to here the NVA is asked each time. */
const FREE = 16;
/** VNs of one port that are kept at the most: of more, the oldest are forgotten. */
const MAX_UNKNOWN = 1024;

type Port = {
  readonly vns: Map<VnId | Uuid, { verdict: Verdict; until: Instant }>;
  readonly free: Budget;
};

/**
 * VNs of which the NVA said within the last second that there are none, by ID or name, and by port: a station that asks for them again
 * and again is answered here, and its flood does not become one at the NVA (H26). Who asks now and then is not: the VN may just have
 * been made.
 */
export class UnknownVns {
  readonly #clock: Clock;
  readonly #ports = new Map<string, Port>();

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  recall(port: string, vn: VnId | Uuid): Verdict | undefined {
    const { vns, free } = this.#ports.get(port) ?? {};
    const now = this.#clock.now();
    const known = vns?.get(vn);
    if (known === undefined || now >= known.until) return undefined;
    return free?.waitMs(now) === 0 ? undefined : known.verdict;
  }

  /** What the NVA said: of interest if it does not know the VN. */
  heard(port: string, vn: VnId | Uuid, verdict: Verdict): void {
    const { vns, free } = this.#ports.get(port) ?? { vns: new Map(), free: budget(FREE, FREE) };
    vns.delete(vn);
    if (verdict.is !== "denied" || !verdict.unknownVn) return;
    const now = this.#clock.now();
    this.#ports.set(port, { vns, free });
    free.spend(1, now);
    vns.set(vn, { verdict, until: Instant(now + UNKNOWN_MS) });
    const [oldest] = vns.keys();
    if (vns.size > MAX_UNKNOWN && oldest !== undefined) vns.delete(oldest);
  }

  /** The port is gone. */
  forget(port: string): void {
    this.#ports.delete(port);
  }

  /** Another NVA may know more. */
  clear(): void {
    this.#ports.clear();
  }
}
