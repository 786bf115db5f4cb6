import { expect, test } from "vitest";
import { hex, octets } from "../../../support/octets.ts";
import { readPcap } from "../../../support/pcap.ts";

/** A file header and one frame of two octets, cut off from 60. */
const little = (magic: string, link = "01000000") =>
  octets(
    `${magic} 0200 0400 00000000 00000000 ffff0000 ${link} 02000000 03000000 02000000 3c000000 abcd`,
  );
const big = (magic: string) =>
  octets(
    `${magic} 0002 0004 00000000 00000000 0000ffff 00000001 00000002 00000003 00000002 0000003c abcd`,
  );

test.each([
  ["little endian, microseconds", little("d4c3b2a1"), 2_000_003_000n],
  ["little endian, nanoseconds", little("4d3cb2a1"), 2_000_000_003n],
  ["big endian, microseconds", big("a1b2c3d4"), 2_000_003_000n],
  ["big endian, nanoseconds", big("a1b23c4d"), 2_000_000_003n],
])("%s", (_, file, timeNs) => {
  const [frame, ...more] = readPcap(file);
  expect(more).toEqual([]);
  expect(frame).toEqual({ timeNs, octets: octets("abcd"), wireLength: 60 });
  expect(hex(frame?.octets ?? new Uint8Array())).toBe("abcd");
});

test("what is no whole pcap file of Ethernet frames is refused", () => {
  const good = little("d4c3b2a1");
  for (const wrong of [good.subarray(0, 20), good.subarray(0, -1), good.subarray(0, 30)]) {
    expect(() => readPcap(wrong)).toThrow();
  }
  expect(() => readPcap(little("0a0d0d0a"))).toThrow("no classic pcap file");
  expect(() => readPcap(little("d4c3b2a1", "71000000"))).toThrow("link type");
  expect(readPcap(good.subarray(0, 24))).toEqual([]);
});
