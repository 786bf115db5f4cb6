import { readdirSync, readFileSync } from "node:fs";

/** One frame of a capture file. */
export type Captured = {
  /** Nanoseconds since 1970. */
  timeNs: bigint;
  octets: Uint8Array;
  /** Octets on the wire; more than `octets` has when the capture was cut. */
  wireLength: number;
};

const MICROSECONDS = 0xa1b2c3d4;
const NANOSECONDS = 0xa1b23c4d;
const ETHERNET = 1;
const FILE_HEADER = 24;
const RECORD_HEADER = 16;

/** Frames of a classic pcap file, of either byte order, in micro- or nanoseconds. @throws Error for anything else */
export function readPcap(file: Uint8Array): Captured[] {
  const view = new DataView(file.buffer, file.byteOffset, file.byteLength);
  if (file.length < FILE_HEADER) throw new Error("too short for a pcap file");
  const littleEndian = isMagic(view.getUint32(0, true));
  const uint32 = (at: number) => view.getUint32(at, littleEndian);
  if (!isMagic(uint32(0))) throw new Error("no classic pcap file");
  if ((uint32(20) & 0xffff) !== ETHERNET) throw new Error(`link type ${uint32(20)} is no Ethernet`);
  const perFraction = uint32(0) === NANOSECONDS ? 1n : 1000n;
  const frames: Captured[] = [];
  for (let at = FILE_HEADER; at < file.length; ) {
    const from = at + RECORD_HEADER;
    if (from > file.length || from + uint32(at + 8) > file.length) {
      throw new Error(`the file ends within frame ${frames.length + 1}`);
    }
    const timeNs = BigInt(uint32(at)) * 1_000_000_000n + BigInt(uint32(at + 4)) * perFraction;
    const to = from + uint32(at + 8);
    frames.push({ timeNs, octets: file.slice(from, to), wireLength: uint32(at + 12) });
    at = to;
  }
  return frames;
}

const isMagic = (word: number): boolean => word === MICROSECONDS || word === NANOSECONDS;

const folder = new URL("../captures/", import.meta.url);

/** Names of all files of test/captures. */
export const captureNames = (): string[] =>
  readdirSync(folder)
    .filter((name) => name.endsWith(".pcap"))
    .sort();

/** Frames of one file of test/captures. */
export const capture = (name: string): Captured[] =>
  readPcap(new Uint8Array(readFileSync(new URL(name, folder))));
