import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { captureLink, type Link, pcapHeaderOctets, pcapRecordOctets } from "@nve/linux";
import { afterEach, beforeEach, expect, test } from "vitest";
import { readPcap } from "../../support/pcap.ts";

let folder: string;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), "pcap-"));
});
afterEach(() => rmSync(folder, { recursive: true }));

const bytes = (...parts: Uint8Array[]): Uint8Array => Uint8Array.from(parts.flatMap((p) => [...p]));

/** A link whose `send` refuses frames that begin with 0, and that hears what the test says. */
function looseLink(): Link & { hear(frame: Uint8Array): void; closed: boolean } {
  const listeners: ((frame: Uint8Array) => void)[] = [];
  return {
    name: "loose",
    state: "up",
    mac: undefined,
    dropped: { in: 0, out: 0 },
    closed: false,
    send: (frame) => frame[0] !== 0,
    onFrame: (deliver) => listeners.push(deliver),
    onState: () => {},
    close() {
      this.closed = true;
    },
    hear: (frame) => {
      for (const deliver of listeners) deliver(frame);
    },
  };
}

test("a pcap file has its frames and their times to the nanosecond", () => {
  const frame = Uint8Array.of(1, 2, 3);
  const file = bytes(pcapHeaderOctets(), pcapRecordOctets(1_700_000_000_123_456_789n, frame));
  expect(readPcap(file)).toEqual([
    { timeNs: 1_700_000_000_123_456_789n, octets: frame, wireLength: 3 },
  ]);
});

test("a capture link writes what came in and what was sent, and passes all on", async () => {
  const inner = looseLink();
  const path = join(folder, "both.pcap");
  const link = captureLink(inner, path);
  const heard: Uint8Array[] = [];
  link.onFrame((frame) => heard.push(frame));
  inner.hear(Uint8Array.of(1));
  expect(link.send(Uint8Array.of(2))).toBe(true);
  expect(link.send(Uint8Array.of(0))).toBe(false);
  inner.hear(Uint8Array.of(3));
  link.close();
  await link.written;
  const frames = readPcap(new Uint8Array(readFileSync(path)));
  expect(frames.map(({ octets }) => octets[0])).toEqual([1, 2, 3]);
  const times = frames.map(({ timeNs }) => timeNs);
  expect(times).toEqual([...times].sort());
  expect(heard.map(([first]) => first)).toEqual([1, 3]);
  expect([inner.closed, link.unwritten]).toEqual([true, 0]);
});

test("a capture link goes on when its file cannot be written", async () => {
  const inner = looseLink();
  const link = captureLink(inner, join(folder, "no", "such", "folder.pcap"));
  await expect(link.written).rejects.toThrow("ENOENT");
  expect(link.send(Uint8Array.of(1))).toBe(true);
  expect(link.unwritten).toBe(1);
  link.close();
});
