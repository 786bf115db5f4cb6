// What went over the cable, with the kernel's times: the same measure for every station and every bridge.
import { decode, EtherType, readEcpdu, readFrame, readVdpdu } from "@nve/protocol-spec";
import { port, start } from "./rig.mjs";

const FILE_HEADER = 24;
const RECORD_HEADER = 16;

/**
 * Listens at the station's end of the first cable. Per VSI: from the first copy of the request to the first
 * answer; and how many ECPDUs there were.
 */
export async function listen(rig, stationMac) {
  const words = ["tcpdump", "-i", port(0), "--immediate-mode", "-U", "-B", "8192", "-w", "-"];
  const stdio = ["ignore", "pipe", "pipe"];
  const tcpdump = start(rig, "station", "tcpdump", [...words, "ether proto 0x8940"], { stdio });
  const vsis = new Map();
  const seen = { requests: 0, answers: 0, repeats: 0, refused: 0, lastMs: 0 };
  const numbers = { station: undefined, bridge: undefined };
  let answered = 0;
  let wake = () => {};

  function hear(octets, atMs) {
    const frame = decode(octets, readFrame);
    if (frame.etherType !== EtherType.ecp) return;
    const { op, sequence, ulpdu } = decode(frame.payload, readEcpdu);
    if (op !== "request") return;
    seen.lastMs = atMs;
    const from = frame.source === stationMac ? "station" : "bridge";
    if (numbers[from] === sequence) {
      seen.repeats += 1;
      return;
    }
    numbers[from] = sequence;
    seen[from === "station" ? "requests" : "answers"] += 1;
    for (const tlv of decode(ulpdu, readVdpdu).tlvs) {
      if (tlv.is === "association") association(tlv.association, from, atMs);
    }
  }

  function association({ vsiId, status }, from, atMs) {
    const key = Buffer.from(vsiId.octets).toString("hex");
    const vsi = vsis.get(key);
    if (from === "station" && status.is === "request") {
      if (vsi === undefined) vsis.set(key, { asked: atMs });
    } else if (from === "bridge" && status.is === "response" && vsi?.answered === undefined) {
      if (vsi === undefined) return;
      vsi.answered = atMs;
      answered += 1;
      if (status.code !== 0) seen.refused += 1;
      wake();
    }
  }

  let rest = Buffer.alloc(0);
  let header = true;
  tcpdump.child.stdout.on("data", (chunk) => {
    rest = Buffer.concat([rest, chunk]);
    if (header && rest.length >= FILE_HEADER) {
      rest = rest.subarray(FILE_HEADER);
      header = false;
    }
    while (!header && rest.length >= RECORD_HEADER) {
      const length = rest.readUInt32LE(8);
      if (rest.length < RECORD_HEADER + length) return;
      const atMs = rest.readUInt32LE(0) * 1000 + rest.readUInt32LE(4) / 1000;
      hear(rest.subarray(RECORD_HEADER, RECORD_HEADER + length), atMs);
      rest = rest.subarray(RECORD_HEADER + length);
    }
  });
  await new Promise((resolve) => tcpdump.child.stderr.once("data", resolve));

  return {
    /** Until so many VSIs have their answer, or nothing new has come for `quietMs`. */
    answers: (count, quietMs) =>
      new Promise((resolve) => {
        let quiet;
        wake = () => {
          clearTimeout(quiet);
          if (answered >= count) resolve();
          else quiet = setTimeout(resolve, quietMs);
        };
        wake();
      }),
    /** What was seen since the last call. */
    take: () => {
      const all = [...vsis.values()];
      const done = all.filter((vsi) => vsi.answered !== undefined);
      const first = Math.min(...all.map(({ asked }) => asked));
      const last = Math.max(...done.map((vsi) => vsi.answered));
      const result = {
        asked: all.length,
        answered: done.length,
        latencies: done.map((vsi) => vsi.answered - vsi.asked),
        seconds: (last - first) / 1000,
        ...seen,
      };
      vsis.clear();
      answered = 0;
      Object.assign(seen, { requests: 0, answers: 0, repeats: 0, refused: 0 });
      return result;
    },
    stop: () => tcpdump.stop(),
  };
}
