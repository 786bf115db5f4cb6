import type { Content } from "./book.ts";
import { keyOf, partsOf } from "./book.ts";
import { ownIp, vnicAt } from "./content.ts";
import { freezingVn, migrates, rule } from "./freezes.ts";
import type { Northbound } from "./northbound.ts";
import { after } from "./one-nva.ts";
import type { Random } from "./random.ts";
import type { SimNve } from "./sim-nve.ts";
import { Violation } from "./trace.ts";
import type { World } from "./world.ts";

type Parts = {
  holder: SimNve;
  rival: SimNve;
  key: string;
  /** All that was claimed is answered. */
  settled: () => Promise<void>;
  restart: (() => Promise<void>) | undefined;
};

/** Two NVEs that both have an address: it moves, until it is frozen; unless it is a VM that migrates. */
export class Contest {
  readonly #world: World;
  readonly #northbound: Northbound;
  done = 0;

  constructor(world: World, northbound: Northbound) {
    this.#world = world;
    this.#northbound = northbound;
  }

  /** One has it, the other comes and goes, and comes `moves` times in all. */
  flap(holder: SimNve, rival: SimNve, key: string, moves: number): void {
    if (holder.alive) holder.change({ claims: [this.#claim(holder, key)] });
    if (rival === holder) return;
    for (let n = 0; n < moves && rival.alive; n++) {
      if (n > 0) rival.change({ withdrawn: [key] });
      rival.change({ claims: [this.#claim(rival, key)] });
    }
  }

  /**
   * All is at rest, the VN is there and freezes duplicates: one is found and stays, a migration is none.
   * @param restart makes the authorities begin anew from what they have stored; absent: they go on
   */
  async decide(
    nves: readonly SimNve[],
    random: Random,
    until: (what: string, is: () => boolean) => Promise<void>,
    restart?: () => Promise<void>,
  ): Promise<void> {
    const settled = () =>
      until("what is contested is claimed", () => nves.every((one) => !one.alive || one.settled));
    // On a busy machine it takes longer than the window: once more.
    for (let n = 0; n < 3; n++) {
      const isRare = random.chance(0.3);
      const key = this.#key(random, isRare);
      const [holder, rival, ...others] = nves.filter((nve) => this.#mayAttach(nve));
      if (key === undefined || holder === undefined || rival === undefined) return;
      await this.#northbound.clear(key); // of before
      for (const nve of [rival, ...others]) nve.change({ withdrawn: [key] });
      await settled();
      holder.change({ claims: [this.#claim(holder, key)] });
      await settled();
      const parts = { holder, rival, key, settled, restart };
      const isDecided = await (isRare ? this.#patient(parts) : this.#contested(parts));
      if (isDecided) break;
    }
    this.done += 1;
  }

  /** An address that is bound to nothing. */
  #key(random: Random, isDuplicate: boolean): string | undefined {
    const { book, trace } = this.#world;
    const n = random.below(12);
    const even = n < 8 && !isDuplicate ? n : (n % 4) * 2; // a duplicate in two of three
    const keys = [even, even + 2, even + 4, even + 6].map((one) =>
      keyOf(freezingVn, `02000000000${one % 8}`),
    );
    return keys.find((key) => {
      const bound = book.binding(key).certain(trace.now);
      return bound !== "unsure" && bound.value === undefined;
    });
  }

  /** @returns whether that was quick enough to say anything */
  async #contested(parts: Parts): Promise<boolean> {
    const { holder, rival, key, settled, restart } = parts;
    const { book, freezes, trace } = this.#world;
    const { last } = await this.#northbound.events(1n << 40n, "", "");
    const began = Date.now();
    this.flap(holder, rival, key, rule.moves);
    await settled();
    const isLate = Date.now() - began > rule.windowMs - 200;
    const all = await this.#northbound.duplicates(freezingVn);
    const shape = book.shape(freezingVn).certain(trace.now);
    const isTimed = shape === "unsure" || shape.value !== "freezes until cleared";
    // It may have been frozen, and be so no more.
    const isSlow = isLate || (isTimed && Date.now() - began > rule.freezeMs - 200);
    const isFrozen = all.some(
      ({ mac, frozen }) => frozen && mac.toString("hex") === partsOf(key).mac,
    );
    if (migrates(key)) {
      const wanted = freezes.sent(key, rule.windowMs + 2000).length >= rule.migrations;
      if (isFrozen && !wanted) throw this.#fault(key, "it is frozen, and has migrated only");
    } else if (!isFrozen && !isSlow) throw this.#fault(key, "it is a duplicate, and not frozen");
    if (isFrozen) await this.#told(key, last, "duplicate.found");
    if (isSlow) return false;
    if (!isFrozen) return true;
    await this.#isAt(holder, key);
    if (!migrates(key) && restart !== undefined) await this.#outlives({ ...parts, restart });
    return true;
  }

  /** It is frozen until it is cleared, whatever its authorities go through: moves are told only. */
  async #outlives({
    restart,
    holder,
    rival,
    key,
    settled,
  }: Parts & { restart: () => Promise<void> }): Promise<void> {
    const { book, trace, watchful } = this.#world;
    const from = trace.now;
    await restart();
    await settled();
    const all = await this.#northbound.duplicates(freezingVn);
    const row = all.find(({ mac }) => mac.toString("hex") === partsOf(key).mac);
    // Sessions were lost: what is found is kept, or all would be looked at once more.
    if (row?.frozen !== true)
      return watchful(() => {
        throw this.#fault(key, "it was frozen, and is so no more after a restart");
      });
    rival.change({ withdrawn: [key] });
    rival.change({ claims: [this.#claim(rival, key)] });
    await settled();
    const isKept = !book
      .claim(holder.id, key)
      .possible(from, trace.now + 1)
      .has(undefined);
    if (!isKept) return; // its hold time was over meanwhile
    await this.#isAt(holder, key).catch((error: unknown) => {
      if (!(error instanceof Violation)) throw error;
      watchful(() => {
        throw error;
      });
    });
  }

  async #isAt(holder: SimNve, key: string): Promise<void> {
    const { answer } = await this.#northbound.lookup(key);
    const at = answer?.$case === "found" ? answer.value.locations.map(({ nveId }) => nveId) : [];
    if (at.join() !== holder.id)
      throw this.#fault(key, `it is frozen at ${at}, it was at ${holder.id}`);
  }

  /** As many moves as make a duplicate, but for one that comes when the window is over. */
  async #patient({ holder, rival, key, settled }: Parts): Promise<boolean> {
    this.flap(holder, rival, key, rule.moves - 1);
    await settled();
    await after(rule.windowMs + 300);
    rival.change({ withdrawn: [key] });
    this.flap(holder, rival, key, 1);
    await settled();
    const all = await this.#northbound.duplicates(freezingVn);
    const isFrozen = all.some(({ mac }) => mac.toString("hex") === partsOf(key).mac);
    // One that was frozen before that was when it was cleared.
    if (isFrozen && this.#world.freezes.sent(key, rule.windowMs).length < rule.moves)
      throw this.#fault(key, "it is frozen, and has not moved as often in its window");
    return true;
  }

  /** Its alarm is among the events. */
  async #told(key: string, after: bigint, action: string): Promise<void> {
    const { vn, mac } = partsOf(key);
    const object = `default/vn${vn}/${mac.replace(/..(?=.)/g, "$&:")}`;
    const { events } = await this.#northbound.events(after, action, object);
    if (events.length === 0) throw this.#fault(key, `no event ${action} of ${object}`);
  }

  #mayAttach({ id, alive }: SimNve): boolean {
    const { book, trace } = this.#world;
    const policy = book.policy(id, freezingVn).certain(trace.now);
    return alive && policy !== "unsure" && policy.value === undefined;
  }

  #claim(nve: SimNve, key: string): { key: string; content: Content; sequence: number } {
    const flags = { sticky: false, anycast: false, suspended: false, gleaned: false };
    const content = { ips: [ownIp(key, "0a000009")], vnic: vnicAt(key, nve), ...flags };
    return { key, content, sequence: 0 };
  }

  #fault(key: string, fault: string): Error {
    return this.#world.trace.violation(`${key}: ${fault}`, partsOf(key));
  }
}
