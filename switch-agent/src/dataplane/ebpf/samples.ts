import { type Mac, Vid, Vni } from "@nve/protocol-spec";
import type { Sample } from "../../nve/glean.ts";
import type { LocalPlace } from "../../nve/intents.ts";
import type { TorMaps } from "./maps.ts";

type Surroundings = {
  nameOf(ifindex: number): string | undefined;
  indexOf(port: string): number | undefined;
  /** Some access gleans: without any there is nothing to look for. */
  wanted(): boolean;
};

/** How often the queue is looked at: a system call of two microseconds when it is empty. */
const PAUSE_MS = 100;
/** So many at a time; when as many came, the next look is not far, but the agent has other things to do, too. */
const BATCH = 256;
const SHORT_PAUSE_MS = 10;
/** Of its time, one part goes into samples and this many into all else, however much there is to be seen. */
const REST = 4;

/** What the programs put into the queue, given to the agent. */
export class Samples {
  readonly #maps: Pick<TorMaps, "samples" | "sights">;
  readonly #around: Surroundings;
  #hear: ((samples: readonly Sample[]) => void) | undefined;
  #timer: NodeJS.Timeout | undefined;

  constructor(maps: Pick<TorMaps, "samples" | "sights">, around: Surroundings) {
    this.#maps = maps;
    this.#around = around;
  }

  listen(hear: (samples: readonly Sample[]) => void): void {
    this.#hear = hear;
    this.look();
  }

  /** Begins to look, if there is anything to look for and anybody to tell. */
  look(): void {
    if (this.#timer === undefined && this.#hear !== undefined) this.#again(PAUSE_MS);
  }

  close(): void {
    clearTimeout(this.#timer);
    this.#hear = undefined;
  }

  silentMs(vni: Vni, mac: Mac, { port, vid }: LocalPlace): number | undefined {
    const ifindex = this.#around.indexOf(port);
    if (ifindex === undefined) return undefined;
    const key = { vni, ifindex, address: 0, vid, mac, what: 0, zero: 0 };
    const sight = this.#maps.sights.get(key);
    if (sight === undefined) return undefined;
    return Math.max(0, Number(process.hrtime.bigint() / 1_000_000n) - sight.seen / 1e6);
  }

  #again(pauseMs: number): void {
    if (!this.#around.wanted()) return;
    this.#timer = setTimeout(() => {
      this.#timer = undefined;
      const begun = performance.now();
      const samples = this.#take();
      if (samples.length > 0) this.#hear?.(samples);
      const rest = REST * (performance.now() - begun);
      this.#again(samples.length === BATCH ? Math.max(SHORT_PAUSE_MS, rest) : PAUSE_MS);
    }, pauseMs);
    this.#timer.unref();
  }

  #take(): Sample[] {
    const taken: Sample[] = [];
    for (let n = 0; n < BATCH; n++) {
      const kernel = this.#maps.samples.take();
      if (kernel === undefined) break;
      const { vni, ifindex, vid, length, octets } = kernel;
      const port = this.#around.nameOf(ifindex);
      if (ifindex !== 0 && port === undefined) continue; // of a port that is gone
      taken.push({
        vni: Vni(vni),
        ...(port !== undefined && { at: { is: "local", port, vid: vid === 0 ? 0 : Vid(vid) } }),
        octets: octets.subarray(0, length),
      });
    }
    return taken;
  }
}
