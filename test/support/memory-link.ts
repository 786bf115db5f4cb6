import type { Link, LinkState } from "@nve/linux";
import type { Mac } from "@nve/protocol-spec";

/** A link in memory, and its other side: who carries the frames. */
export type MemoryLink = {
  readonly link: Link;
  /** Gives a frame to who has the link. */
  receive(frame: Uint8Array): void;
  /** Tells the state, which is another one now. */
  changed(): void;
};

/** @param carry what becomes of a frame that is sent while the link is up; it is the frame's owner */
export function memoryLink(
  { name, mac, state }: { name: string; mac: Mac; state: () => LinkState },
  carry: (frame: Uint8Array) => void,
): MemoryLink {
  const listeners: ((frame: Uint8Array) => void)[] = [];
  const watchers: ((state: LinkState) => void)[] = [];
  const dropped = { in: 0, out: 0 };
  let closed = false;
  const link: Link = {
    name,
    get state() {
      return state();
    },
    get mac() {
      return state() === "absent" ? undefined : mac;
    },
    send: (frame) => {
      if (closed || state() !== "up") {
        dropped.out += 1;
        return false;
      }
      carry(frame.slice());
      return true;
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
    receive: (frame) => {
      if (!closed) for (const deliver of listeners) deliver(frame);
    },
    changed: () => {
      if (!closed) for (const watch of watchers) watch(state());
    },
  };
}
