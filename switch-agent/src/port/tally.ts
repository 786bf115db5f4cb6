/**
 * So many of something on a port at most, over all who have some. What somebody wants counts from when it is asked,
 * and what it has until it is decided.
 */
export class Tally<Who extends object> {
  readonly max: number | undefined;
  readonly #of = new Map<Who, { held: number; wanted?: number }>();
  #total = 0;

  /** @param max undefined: nothing is counted */
  constructor(max: number | undefined) {
    this.max = max;
  }

  /** @returns how many others have, when there is no room */
  want(who: Who, wanted: number): number | undefined {
    if (this.max === undefined) return undefined;
    const { held } = this.#of.get(who) ?? { held: 0 };
    const others = this.#total - this.#weight(who);
    if (others + wanted > this.max) return others;
    this.#put(who, { held, wanted });
    return undefined;
  }

  /** It was decided. @param granted not: it has what it had */
  settle(who: Who, granted: boolean): void {
    const mine = this.#of.get(who);
    if (mine?.wanted === undefined) return;
    this.#put(who, { held: granted ? mine.wanted : mine.held });
  }

  drop(who: Who): void {
    this.#total -= this.#weight(who);
    this.#of.delete(who);
  }

  #put(who: Who, mine: { held: number; wanted?: number }): void {
    this.#total -= this.#weight(who);
    this.#of.set(who, mine);
    this.#total += this.#weight(who);
  }

  #weight(who: Who): number {
    const { held, wanted = 0 } = this.#of.get(who) ?? { held: 0 };
    return Math.max(held, wanted);
  }
}
