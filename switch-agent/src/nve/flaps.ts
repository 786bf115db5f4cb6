import { Instant, type Mac, type VnId } from "@nve/protocol-spec";

/** More than so many moves of a MAC in that time, and it stays where it is for a while. */
const MOVES = 5;
const WITHIN_MS = 10_000;
const FROZEN_MS = 60_000;
/** MACs whose moves are counted; who moved longest ago goes first. */
const MAX_MACS = 4096;

type Moves = { times: readonly Instant[]; frozenUntil: Instant };

/** Who moves too often: a loop in the tenant's network, or two stations with one MAC. */
export class Flaps {
  readonly #macs = new Map<string, Moves>();

  frozen(vn: VnId, mac: Mac, now: Instant): boolean {
    return (this.#macs.get(`${vn} ${mac}`)?.frozenUntil ?? now) > now;
  }

  /** @returns whether that was one move too many: it is frozen now. */
  moved(vn: VnId, mac: Mac, now: Instant): boolean {
    const key = `${vn} ${mac}`;
    const before = this.#macs.get(key)?.times ?? [];
    const times = [...before.filter((time) => now - time < WITHIN_MS), now];
    const tooOften = times.length > MOVES;
    this.#macs.delete(key);
    const [oldest] = this.#macs.keys();
    if (this.#macs.size >= MAX_MACS && oldest !== undefined) this.#macs.delete(oldest);
    const frozenUntil = tooOften ? Instant(now + FROZEN_MS) : now;
    this.#macs.set(key, { times: tooOften ? [] : times, frozenUntil });
    return tooOften;
  }
}
