import { createWriteStream } from "node:fs";
import type { Link } from "./link.ts";
import { pcapHeaderOctets, pcapRecordOctets } from "./pcap-file.ts";

/** A link whose frames are written down as well. */
export type CaptureLink = Link & {
  /** Settled when the file is whole, after `close`. Rejected when it cannot be written; the link goes on. */
  readonly written: Promise<void>;
  /** Frames that are not in the file, because the disk is slower than the link, or full. */
  readonly unwritten: number;
};

/** Writes the frames that come in and those that were sent to a pcap file, in the order in which they passed. */
export function captureLink(link: Link, path: string): CaptureLink {
  const file = createWriteStream(path);
  const written = new Promise<void>((resolve, reject) => {
    file.on("close", resolve).on("error", reject);
  });
  written.catch(() => {}); // whoever wants to know awaits it
  let unwritten = 0;
  file.write(pcapHeaderOctets());

  function write(frame: Uint8Array): void {
    if (file.errored || file.writableEnded || file.writableLength > MOST_WAITING) unwritten += 1;
    else file.write(pcapRecordOctets(now(), frame));
  }

  function send(frame: Uint8Array): boolean {
    const sent = link.send(frame);
    if (sent) write(frame);
    return sent;
  }

  link.onFrame(write);
  return {
    name: link.name,
    get state() {
      return link.state;
    },
    get mac() {
      return link.mac;
    },
    get dropped() {
      return link.dropped;
    },
    get unwritten() {
      return unwritten;
    },
    written,
    send,
    onFrame: (deliver) => link.onFrame(deliver),
    onState: (changed) => link.onState(changed),
    close: () => {
      link.close();
      file.end();
    },
  };
}

/** Octets waiting for the disk before frames are left out of the file. */
const MOST_WAITING = 4 << 20;

/** Monotonic within the process, so that the file's times never go back. */
const now = (): bigint => START + process.hrtime.bigint();
const START = BigInt(Date.now()) * 1_000_000n - process.hrtime.bigint();
