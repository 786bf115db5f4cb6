import type { Clock, Link, LinkState } from "@nve/linux";
import { Instant, Mac } from "@nve/protocol-spec";
import { type MemoryLink, memoryLink } from "./memory-link.ts";

/** What the cable does to frames; probabilities 0 … 1, each frame on its own. */
export type Faults = {
  loss: number;
  /** Frames take from … to milliseconds, and keep their order. */
  delayMs: readonly [from: number, to: number];
  duplicate: number;
  /** These frames are held back until others have overtaken them. */
  reorder: number;
};

export type Cable = {
  readonly a: Link;
  readonly b: Link;
  /** In force from now on. */
  faults: Faults;
  /** Both ends at once; what is under way is lost when it goes down. */
  set(state: LinkState): void;
  /** Sees every frame that is sent, also one that gets lost. */
  tap(see: (from: "a" | "b", frame: Uint8Array) => void): void;
};

const good: Faults = { loss: 0, delayMs: [0.1, 0.1], duplicate: 0, reorder: 0 };
const HELD_BACK_MS = 30;

/** Two links in memory, joined; what goes wrong on them follows from `seed` alone. */
export function cable(
  clock: Clock,
  {
    seed = 1,
    state = "up",
    ...faults
  }: Partial<Faults> & { seed?: number; state?: LinkState } = {},
): Cable {
  const chance = random(seed);
  const taps: ((from: "a" | "b", frame: Uint8Array) => void)[] = [];
  let flight = 0; // frames of an earlier flight are lost
  let now: LinkState = state;
  const a = end("a", Mac("52:54:00:aa:00:01"));
  const b = end("b", Mac("52:54:00:bb:00:02"));

  function end(name: "a" | "b", mac: Mac): MemoryLink {
    let lastArrival = 0;

    function carry(frame: Uint8Array): void {
      const { delayMs, reorder } = self.faults;
      const [from, to] = delayMs;
      let arrival = clock.now() + from + chance() * (to - from);
      if (chance() < reorder) arrival += HELD_BACK_MS * chance();
      else arrival = lastArrival = Math.max(lastArrival, arrival);
      const mine = flight;
      clock.at(Instant(arrival), () => {
        if (mine === flight) (name === "a" ? b : a).receive(frame);
      });
    }

    return memoryLink({ name, mac, state: () => now }, (frame) => {
      for (const see of taps) see(name, frame);
      if (chance() >= self.faults.loss) carry(frame.slice());
      if (chance() < self.faults.duplicate) carry(frame.slice());
    });
  }

  const self: Cable = {
    a: a.link,
    b: b.link,
    faults: { ...good, ...faults },
    set: (next) => {
      if (next === now) return;
      now = next;
      flight += 1;
      a.changed();
      b.changed();
    },
    tap: (see) => taps.push(see),
  };
  return self;
}

/** Numbers from 0 to 1, the same ones for the same seed (mulberry32). */
export function random(seed: number): () => number {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
}
