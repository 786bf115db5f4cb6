import { concat } from "@nve/protocol-spec";

/** Head of a classic pcap file of Ethernet frames: times in nanoseconds, little-endian. */
export const pcapHeaderOctets = (): Uint8Array =>
  words(0xa1b23c4d, 2 | (4 << 16), 0, 0, SNAP_LENGTH, ETHERNET);

/** One frame in such a file. @param timeNs nanoseconds since 1970 */
export const pcapRecordOctets = (timeNs: bigint, frame: Uint8Array): Uint8Array =>
  concat(
    words(
      Number(timeNs / SECOND),
      Number(timeNs % SECOND),
      Math.min(frame.length, SNAP_LENGTH),
      frame.length,
    ),
    frame.subarray(0, SNAP_LENGTH),
  );

const ETHERNET = 1;
const SNAP_LENGTH = 65535;
const SECOND = 1_000_000_000n;

function words(...numbers: readonly number[]): Uint8Array {
  const view = new DataView(new ArrayBuffer(4 * numbers.length));
  numbers.forEach((n, i) => {
    view.setUint32(4 * i, n, true);
  });
  return new Uint8Array(view.buffer);
}
