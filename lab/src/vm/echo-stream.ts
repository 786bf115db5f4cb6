// Octets over TCP to an echo service, without end, each looked at when it comes back. On SIGTERM prints what was seen as
// JSON, and ends. In the namespace that it runs in.
//   node echo-stream.js <address> <port>
import { connect } from "node:net";
import type { StreamSeen } from "./timeline.ts";

const [, , address = "", port = "7"] = process.argv;
const chunkOctets = 4096;
const everyMs = 10;
/** Of what has not come back yet. More would fill the guest's buffers, and what is measured is the network. */
const mostAhead = 64 * 1024;

/** The octet at a place of the stream: a period of 65,521 octets, so that a lost or doubled piece shows. */
const octetAt = (at: number): number => ((at % 65_521) * 31 + ((at % 65_521) >> 8)) & 0xff;

let sent = 0;
let received = 0;
let intact = true;
let broken = "";
let last = 0;
let longestSilenceMs = 0;

const socket = connect(Number(port), address);
socket.setNoDelay(true);
socket.on("connect", () => {
  last = performance.now();
  setInterval(() => {
    if (sent - received > mostAhead || broken !== "") return;
    const piece = Buffer.alloc(chunkOctets);
    for (let i = 0; i < chunkOctets; i += 1) piece[i] = octetAt(sent + i);
    sent += chunkOctets;
    socket.write(piece);
  }, everyMs);
});
socket.on("data", (piece) => {
  const now = performance.now();
  if (received === 0) process.stdout.write("flows\n");
  else longestSilenceMs = Math.max(longestSilenceMs, now - last);
  last = now;
  for (let i = 0; i < piece.length; i += 1) {
    if (piece[i] !== octetAt(received + i)) intact = false;
  }
  received += piece.length;
});
socket.on("error", (error) => {
  broken = error.message;
});
socket.on("close", () => {
  broken ||= "closed by the VM";
});
process.on("SIGTERM", () => {
  if (received > 0) longestSilenceMs = Math.max(longestSilenceMs, performance.now() - last);
  const seen: StreamSeen = {
    octets: received,
    intact,
    broken,
    longestSilenceMs: Math.round(longestSilenceMs),
  };
  process.stdout.write(`${JSON.stringify(seen)}\n`, () => process.exit(0));
});
