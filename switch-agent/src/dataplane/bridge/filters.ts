import type { Bridging } from "@nve/linux";
import { gone } from "./kernel.ts";
import type { Rule } from "./rules.ts";

type Reason = NonNullable<Rule["reason"]>;

/** The filters of one interface, and what they have dropped. */
export class Filters {
  readonly #kernel: Bridging;
  readonly #index: number;
  readonly #there = new Map<string, Rule>();

  constructor(kernel: Bridging, index: number) {
    this.#kernel = kernel;
    this.#index = index;
  }

  /** In place of what is there of the same priority and handle. */
  async put(rules: readonly Rule[]): Promise<void> {
    const fresh = rules.filter((rule) => !isSame(this.#there.get(keyOf(rule)), rule));
    await Promise.all(fresh.map((rule) => this.#kernel.putFilter(this.#index, rule)));
    for (const rule of fresh) this.#there.set(keyOf(rule), rule);
  }

  async take(rules: readonly Rule[]): Promise<void> {
    const old = rules.filter((rule) => this.#there.delete(keyOf(rule)));
    await Promise.all(old.map((rule) => gone(this.#kernel.deleteFilter(this.#index, rule))));
  }

  /** Those, and no others but those that `isKept`. */
  async set(rules: readonly Rule[], isKept: (rule: Rule) => boolean): Promise<void> {
    const keys = new Set(rules.map(keyOf));
    const old = [...this.#there.values()].filter((rule) => !keys.has(keyOf(rule)) && !isKept(rule));
    await this.put(rules);
    await this.take(old);
  }

  /** Frames dropped by the rules that are there, by reason. */
  async drops(): Promise<Map<Reason, number>> {
    const drops = new Map<Reason, number>();
    for (const { priority, handle, packets } of await this.#kernel.filters(this.#index)) {
      const reason = this.#there.get(keyOf({ priority, handle }))?.reason;
      if (reason) drops.set(reason, (drops.get(reason) ?? 0) + packets);
    }
    return drops;
  }
}

const keyOf = ({ priority, handle }: Pick<Rule, "priority" | "handle">): string =>
  `${priority} ${handle}`;

const isSame = (a: Rule | undefined, b: Rule): boolean =>
  a?.drop === b.drop && a.protocol === b.protocol;
