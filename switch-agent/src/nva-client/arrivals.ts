import { type Uuid, uuidOctets } from "@nve/protocol-spec";

/** VNICs that have moved here and are not forwarded yet where they were, as the NVA says; for one session. */
export class Arrivals {
  readonly #moving = new Set<string>();
  #waiting: { keys: readonly string[]; resolve: () => void }[] = [];

  moving(vnics: readonly Uint8Array[]): void {
    for (const vnic of vnics) this.#moving.add(keyOf(vnic));
  }

  arrived(vnics: readonly Uint8Array[]): void {
    for (const vnic of vnics) this.#moving.delete(keyOf(vnic));
    this.#settle();
  }

  /** When none of these is on its way any more. */
  awaited(vnics: readonly Uuid[]): Promise<void> {
    if (this.#moving.size === 0) return Promise.resolve();
    const keys = vnics.map((vnic) => keyOf(uuidOctets(vnic)));
    return new Promise((resolve) => {
      this.#waiting.push({ keys, resolve });
      this.#settle();
    });
  }

  /** The session is over. */
  close(): void {
    this.#moving.clear();
    this.#settle();
  }

  #settle(): void {
    const isHere = ({ keys }: { keys: readonly string[] }): boolean =>
      !keys.some((key) => this.#moving.has(key));
    const here = this.#waiting.filter(isHere);
    this.#waiting = this.#waiting.filter((one) => !isHere(one));
    for (const { resolve } of here) resolve();
  }
}

const keyOf = (vnic: Uint8Array): string => Buffer.from(vnic).toString("hex");
