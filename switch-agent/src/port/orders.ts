import type { Mac, VdpTlv } from "@nve/protocol-spec";
import type { Vsi } from "./vsi.ts";

/** To whom, and the TLVs of each order. */
type Waiting = { station: Mac; manager: Uint8Array; orders: (readonly VdpTlv[])[] };

/** Orders of one turn, by station and manager: a VN with many VSIs goes in few ECPDUs. */
export class Orders {
  readonly #waiting = new Map<string, Waiting>();
  readonly #send: (waiting: Waiting) => void;

  constructor(send: (waiting: Waiting) => void) {
    this.#send = send;
  }

  /** Leaves at the end of this turn. */
  add({ station, manager }: Vsi, tlvs: readonly VdpTlv[]): void {
    const key = `${station} ${Buffer.from(manager).toString("hex")}`;
    const waiting = this.#waiting.get(key) ?? { station, manager, orders: [] };
    if (this.#waiting.size === 0) queueMicrotask(() => this.#flush());
    this.#waiting.set(key, waiting);
    waiting.orders.push(tlvs);
  }

  #flush(): void {
    const all = [...this.#waiting.values()];
    this.#waiting.clear();
    for (const waiting of all) this.#send(waiting);
  }
}
