import type { LinkInfo } from "./rtnetlink/link.ts";
import { openRtnetlink } from "./rtnetlink/rtnetlink.ts";

/** What interfaces there are, kept up to date by the kernel. */
export interface LinkMonitor {
  /** Settled when the interfaces are known for the first time; before that, all are absent. */
  readonly ready: Promise<void>;
  find(name: string): LinkInfo | undefined;
  /**
   * Calls `changed` at every change of the interface of that name, with `undefined` when it is gone; not for what
   * is so already. Keeps the process running until the returned function is called.
   */
  watch(name: string, changed: LinkChanged): () => void;
}

/** `lost`: the kernel could not tell all; the interface may have gone down and up again since the last call. */
export type LinkChanged = (link: LinkInfo | undefined, lost: boolean) => void;

/** The one that all of this process share; opened when first asked for. @throws SystemError, Unavailable */
export function linkMonitor(): LinkMonitor {
  shared ??= openLinkMonitor();
  return shared;
}

let shared: LinkMonitor | undefined;

/** @throws SystemError, Unavailable */
export function openLinkMonitor(): LinkMonitor & { close(): void } {
  const watchers = new Set<Watcher>();
  const known = new Map<number, LinkInfo>();
  let heard = new Set<number>(); // since the latest dump began: of these the event counts, not the dump
  let dumps = 0;
  let closed = false;
  let settle = (): void => {};
  const ready = new Promise<void>((resolve) => {
    settle = resolve;
  });

  const rtnetlink = openRtnetlink((event) => {
    if (event.on === "link") learn(event.link);
    else if (event.on === "gone") forget(event.link.index);
    else void resync();
  });

  function learn(link: LinkInfo): void {
    heard.add(link.index);
    const before = known.get(link.index);
    known.set(link.index, link);
    if (before !== undefined && before.name !== link.name) tell(before.name, undefined); // renamed
    tell(link.name, link);
  }

  function forget(index: number): void {
    heard.add(index);
    const before = known.get(index);
    known.delete(index);
    if (before !== undefined) tell(before.name, undefined);
  }

  async function resync(): Promise<void> {
    const dump = ++dumps;
    heard = new Set();
    const found = await rtnetlink.links().catch(() => undefined);
    if (closed || dump !== dumps) return; // a later one is on its way
    if (found === undefined) {
      setTimeout(() => void resync(), RETRY_MS);
      return;
    }
    const present = new Set(found.map(({ index }) => index));
    for (const index of [...known.keys()]) {
      if (!present.has(index) && !heard.has(index)) known.delete(index);
    }
    for (const link of found) {
      if (!heard.has(link.index)) known.set(link.index, link);
    }
    settle();
    for (const name of new Set([...watchers].map((watcher) => watcher.name))) {
      tell(name, find(name), true);
    }
  }

  function tell(name: string, link: LinkInfo | undefined, lost = false): void {
    for (const watcher of [...watchers]) {
      if (watcher.name === name && watchers.has(watcher)) watcher.changed(link, lost);
    }
  }

  const find = (name: string): LinkInfo | undefined =>
    [...known.values()].find((link) => link.name === name);

  void resync();
  return {
    ready,
    find,
    watch: (name, changed) => {
      const watcher = { name, changed };
      watchers.add(watcher);
      rtnetlink.keepAlive(true);
      return () => {
        watchers.delete(watcher);
        rtnetlink.keepAlive(watchers.size > 0);
      };
    },
    close: () => {
      closed = true;
      watchers.clear();
      rtnetlink.close();
    },
  };
}

type Watcher = { name: string; changed: LinkChanged };

const RETRY_MS = 100;
