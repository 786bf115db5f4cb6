// A stream of numbered datagrams, to be counted where they arrive; in the namespace that it runs in.
//   node probe.mjs send <address> <port> <first> <last>   one each millisecond
//   node probe.mjs hear <address> <port>                  until SIGTERM: prints what came, as JSON: [[number, ms], …]
import { createSocket } from "node:dgram";

const [, , what, address = "", port = "", first = "0", last = "0"] = process.argv;
const socket = createSocket("udp4");

if (what === "hear") {
  const seen = [];
  socket.on("message", (octets) => seen.push([octets.readUInt32BE(0), Math.round(Date.now())]));
  socket.bind(Number(port), address, () => process.stdout.write("ready\n"));
  process.on("SIGTERM", () => {
    process.stdout.write(`${JSON.stringify(seen)}\n`, () => process.exit(0));
  });
} else {
  const begun = performance.now();
  let next = Number(first);
  const tick = () => {
    const due = Math.min(Number(last), Number(first) + Math.floor(performance.now() - begun));
    for (; next <= due; next += 1) {
      const octets = Buffer.alloc(64);
      octets.writeUInt32BE(next);
      socket.send(octets, Number(port), address);
    }
    if (next > Number(last)) setTimeout(() => socket.close(), 50);
    else setTimeout(tick, 1);
  };
  tick();
}
