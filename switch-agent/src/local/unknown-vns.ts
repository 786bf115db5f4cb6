import type { Clock } from "@nve/linux";
import { Instant, type Uuid, type VnId } from "@nve/protocol-spec";
import type { Verdict } from "@nve/switch-agent/nve";

const UNKNOWN_MS = 1000;
/** VNs of one port that are kept at the most: of more, the oldest are forgotten. */
const MAX_UNKNOWN = 1024;

/**
 * VNs of which the NVA said within the last second that there are none, by ID or name, and by port: a station that asks for them again
 * and again is answered here, and its flood does not become one at the NVA (H26).
 */
export class UnknownVns {
  readonly #clock: Clock;
  readonly #ports = new Map<string, Map<VnId | Uuid, { verdict: Verdict; until: Instant }>>();

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  recall(port: string, vn: VnId | Uuid): Verdict | undefined {
    const known = this.#ports.get(port)?.get(vn);
    return known !== undefined && this.#clock.now() < known.until ? known.verdict : undefined;
  }

  /** What the NVA said: of interest if it does not know the VN. */
  heard(port: string, vn: VnId | Uuid, verdict: Verdict): void {
    const vns =
      this.#ports.get(port) ?? new Map<VnId | Uuid, { verdict: Verdict; until: Instant }>();
    vns.delete(vn);
    if (verdict.is !== "denied" || !verdict.unknownVn) return;
    this.#ports.set(port, vns);
    vns.set(vn, { verdict, until: Instant(this.#clock.now() + UNKNOWN_MS) });
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
