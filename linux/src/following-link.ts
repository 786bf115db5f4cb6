import type { Link, LinkState, Losses } from "./link.ts";
import type { LinkMonitor } from "./link-monitor.ts";
import { isUp, type LinkInfo } from "./rtnetlink/link.ts";

/** Frames in and out of one interface as it is now; when it goes, the port is closed and another one opened. */
export interface Port {
  /** `false`: not sent. */
  send(frame: Uint8Array): boolean;
  /** Frames that came and were not delivered since the last call, by reason. */
  lost(): Losses;
  close(): void;
}

/** `undefined`: not now, it has just gone or has to be up first. Asked again when the interface changes. */
export type OpenPort = (link: LinkInfo, receive: (frame: Uint8Array) => void) => Port | undefined;

/** A Link that has a port open whenever there is an interface of that name. Both drivers are made of it. */
export function followingLink(name: string, open: OpenPort, monitor: LinkMonitor): Link {
  const frameListeners: ((frame: Uint8Array) => void)[] = [];
  const stateListeners: ((state: LinkState) => void)[] = [];
  let now: LinkInfo | undefined;
  let port: Port | undefined;
  let state: LinkState = "absent";
  let closed = false;
  let losses: Losses = { in: 0 };
  let lostOut = 0;

  function follow(link: LinkInfo | undefined, lost: boolean): void {
    if (now !== undefined && now.index !== link?.index) leave();
    else if (lost && state === "up") become("down"); // for whom it may concern: it may have been
    if (closed) return;
    now = link;
    if (link === undefined) return;
    port ??= open(link, receive);
    become(isUp(link) && port !== undefined ? "up" : "down");
  }

  function leave(): void {
    now = undefined;
    closePort();
    become("absent");
  }

  function closePort(): void {
    countLost();
    port?.close();
    port = undefined;
  }

  function become(next: LinkState): void {
    if (closed || next === state) return;
    state = next;
    for (const changed of stateListeners) changed(next);
  }

  function receive(frame: Uint8Array): void {
    for (const deliver of frameListeners) {
      if (!closed) deliver(frame);
    }
  }

  function send(frame: Uint8Array): boolean {
    const sent = !closed && state === "up" && port?.send(frame) === true;
    if (!sent) lostOut += 1;
    return sent;
  }

  const countLost = (): void => {
    if (port !== undefined) losses = sumOf(losses, port.lost());
  };

  const unwatch = monitor.watch(name, follow);
  try {
    follow(monitor.find(name), false);
  } catch (error) {
    unwatch();
    throw error;
  }

  return {
    name,
    get state() {
      return state;
    },
    get mac() {
      return now?.mac;
    },
    get dropped() {
      countLost();
      return { ...losses, out: lostOut };
    },
    send,
    onFrame: (deliver) => {
      frameListeners.push(deliver);
    },
    onState: (changed) => {
      stateListeners.push(changed);
    },
    close: () => {
      closed = true;
      unwatch();
      closePort();
    },
  };
}

/** Each reason of either. */
export function sumOf(a: Losses, b: Losses): Losses {
  const sum: { in: number } & Record<string, number> = { ...a };
  for (const [reason, n] of Object.entries(b)) sum[reason] = (sum[reason] ?? 0) + n;
  return sum;
}
