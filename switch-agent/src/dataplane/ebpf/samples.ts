import { type Mac, Vid, Vni } from "@nve/protocol-spec";
import type { Sample } from "../../nve/glean.ts";
import type { LocalPlace } from "../../nve/intents.ts";
import { type SightKey, sightOf, type TorMaps } from "./maps.ts";

type Surroundings = {
  nameOf(ifindex: number): string | undefined;
  indexOf(port: string): number | undefined;
  /** Some access gleans, some VN is in pull: without any there is nothing to look for. */
  gleans(): boolean;
  asks(): boolean;
};

type Hear = (samples: readonly Sample[]) => void;

/** How often the queue is looked at: a system call of two microseconds when it is empty. */
const PAUSE_MS = 100;
/** In pull somebody waits. */
const ASKING_PAUSE_MS = 20;
/** So many at a time; when as many came, the next look is not far, but the agent has other things to do, too. */
const BATCH = 256;
const SHORT_PAUSE_MS = 10;
/** Of its time, one part goes into samples and this many into all else, however much there is to be seen. */
const REST = 4;

/** What the programs put into the queue, given to the agent. */
export class Samples {
  readonly #maps: Pick<TorMaps, "samples" | "sights">;
  readonly #around: Surroundings;
  #hear: Hear | undefined;
  #hearWanted: Hear | undefined;
  #timer: NodeJS.Timeout | undefined;

  constructor(maps: Pick<TorMaps, "samples" | "sights">, around: Surroundings) {
    this.#maps = maps;
    this.#around = around;
  }

  /** Undefined: as before. */
  listen(hear: Hear | undefined, hearWanted?: Hear): void {
    this.#hear = hear ?? this.#hear;
    this.#hearWanted = hearWanted ?? this.#hearWanted;
    this.look();
  }

  /** Begins to look, if there is anything to look for and anybody to tell. */
  look(): void {
    const heard = this.#hear ?? this.#hearWanted;
    if (this.#timer === undefined && heard !== undefined) this.#again(PAUSE_MS);
  }

  close(): void {
    clearTimeout(this.#timer);
    this.#hear = undefined;
    this.#hearWanted = undefined;
  }

  silentMs(vni: Vni, mac: Mac, { port, vid }: LocalPlace): number | undefined {
    const ifindex = this.#around.indexOf(port);
    if (ifindex === undefined) return undefined;
    return this.#silence({ vni, ifindex, address: 0, vid, mac, what: sightOf.mac, zero: 0 });
  }

  unusedMs(vni: Vni, mac: Mac): number | undefined {
    const place = { ifindex: 0, address: 0, vid: 0, zero: 0 };
    return this.#silence({ vni, ...place, mac, what: sightOf.used });
  }

  #silence(key: SightKey): number | undefined {
    const sight = this.#maps.sights.get(key);
    if (sight === undefined) return undefined;
    return Math.max(0, Number(process.hrtime.bigint() / 1_000_000n) - sight.seen / 1e6);
  }

  #again(pauseMs: number): void {
    const asks = this.#around.asks();
    if (!asks && !this.#around.gleans()) return;
    this.#timer = setTimeout(() => {
      this.#timer = undefined;
      const begun = performance.now();
      const { seen, wanted } = this.#take();
      if (seen.length > 0) this.#hear?.(seen);
      if (wanted.length > 0) this.#hearWanted?.(wanted);
      const rest = REST * (performance.now() - begun);
      const isFull = seen.length + wanted.length === BATCH;
      const pause = asks ? ASKING_PAUSE_MS : PAUSE_MS;
      this.#again(Math.max(isFull ? SHORT_PAUSE_MS : pause, asks || isFull ? rest : 0));
    }, pauseMs);
    this.#timer.unref();
  }

  #take(): { seen: Sample[]; wanted: Sample[] } {
    const taken = { seen: [] as Sample[], wanted: [] as Sample[] };
    for (let n = 0; n < BATCH; n++) {
      const kernel = this.#maps.samples.take();
      if (kernel === undefined) break;
      const { vni, ifindex, vid, length, wanted, octets } = kernel;
      const port = this.#around.nameOf(ifindex);
      if (ifindex !== 0 && port === undefined) continue; // of a port that is gone
      taken[wanted === 0 ? "seen" : "wanted"].push({
        vni: Vni(vni),
        ...(port !== undefined && { at: { is: "local", port, vid: vid === 0 ? 0 : Vid(vid) } }),
        octets: octets.subarray(0, length),
      });
    }
    return taken;
  }
}
