import type { Clock, Link, LinkState } from "@nve/linux";
import { decode, GroupAddress, Instant, type Mac, readFrame } from "@nve/protocol-spec";
import { random } from "./cable.ts";

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
  const listeners: ((frame: Uint8Array) => void)[] = [];
  const watchers: ((state: LinkState) => void)[] = [];
  const dropped = { in: 0, out: 0 };
  let now: LinkState = "up";
  let closed = false;
  let flight = 0;
  const link: Link = {
    name: "eth1",
    get state() {
      return now;
    },
    get mac() {
      return now === "absent" ? undefined : mac;
    },
    send: (frame) => {
      if (!closed && now === "up") {
        carry(frame.slice());
        return true;
      }
      dropped.out += 1;
      return false;
    },
    onFrame: (deliver) => listeners.push(deliver),
    onState: (changed) => watchers.push(changed),
    dropped,
    close: () => {
      closed = true;
    },
  };
  return {
    link,
    get flight() {
      return flight;
    },
    receive: (frame) => {
      if (!closed && now === "up") for (const deliver of listeners) deliver(frame);
    },
    set: (state) => {
      if (state === now) return;
      now = state;
      flight += 1;
      if (!closed) for (const watch of watchers) watch(now);
    },
  };
}
