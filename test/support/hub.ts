import type { Clock, Link, LinkState } from "@nve/linux";
import { decode, GroupAddress, Instant, type Mac, readFrame } from "@nve/protocol-spec";
import { random } from "./cable.ts";
import { memoryLink } from "./memory-link.ts";

/** An access network in memory: what one end sends comes out at all others. */
export type Hub = {
  link(mac: Mac): Link;
  /** One end's; what is under way to it is lost when it goes down. */
  set(mac: Mac, state: LinkState): void;
  /** Of frames, each at each end on its own: probability 0 … 1. */
  loss: number;
  /** Sees every frame that is sent. */
  tap(see: (from: Mac, frame: Uint8Array) => void): void;
};

const DELAY_MS = 0.1;

/**
 * As a Linux bridge with STP off that has learnt nothing: floods all but the nearest bridge and nearest non-TPMR
 * bridge addresses (spec/lldp-evb.md 5).
 */
export function hub(clock: Clock, { seed = 1 }: { seed?: number } = {}): Hub {
  const chance = random(seed);
  const taps: ((from: Mac, frame: Uint8Array) => void)[] = [];
  const ends = new Map<Mac, End>();

  function carry(from: Mac, frame: Uint8Array): void {
    for (const see of taps) see(from, frame);
    if (BLOCKED.includes(decode(frame, readFrame).destination)) return;
    const to = [...ends]
      .filter(([mac]) => mac !== from && chance() >= self.loss)
      .map(([, end]) => ({ end, flight: end.flight }));
    clock.at(Instant(clock.now() + DELAY_MS), () => {
      for (const { end, flight } of to) if (flight === end.flight) end.receive(frame.slice());
    });
  }

  const self: Hub = {
    loss: 0,
    link: (mac) => {
      const end = newEnd(mac, (frame) => carry(mac, frame));
      ends.set(mac, end);
      return end.link;
    },
    set: (mac, state) => ends.get(mac)?.set(state),
    tap: (see) => taps.push(see),
  };
  return self;
}

const BLOCKED: readonly Mac[] = [GroupAddress.nearestBridge, GroupAddress.nearestNonTpmrBridge];

type End = {
  link: Link;
  /** Frames of an earlier one are lost. */
  readonly flight: number;
  receive(frame: Uint8Array): void;
  set(state: LinkState): void;
};

function newEnd(mac: Mac, carry: (frame: Uint8Array) => void): End {
  let now: LinkState = "up";
  let flight = 0;
  const { link, receive, changed } = memoryLink({ name: "eth1", mac, state: () => now }, carry);
  return {
    link,
    get flight() {
      return flight;
    },
    receive: (frame) => {
      if (now === "up") receive(frame);
    },
    set: (state) => {
      if (state === now) return;
      now = state;
      flight += 1;
      changed();
    },
  };
}
