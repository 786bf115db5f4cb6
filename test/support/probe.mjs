// A stream of numbered datagrams, to be counted where they arrive; in the namespace that it runs in.
//   node probe.mjs send <address> <port> <first> <last>   one each millisecond; one that is late is made up for, 32 at a time
//   node probe.mjs hear <address> <port>                  until SIGTERM: prints what came, as JSON: [[number, ms], …]
import { createSocket } from "node:dgram";
import koffi from "koffi";

const [, , what, address = "", port = "", first = "0", last = "0"] = process.argv;
const socket = createSocket("udp4");

if (what === "hear") {
  const seen = [];
  socket.on("message", (octets) => seen.push([octets.readUInt32BE(0), Math.round(Date.now())]));
  socket.bind(Number(port), address, () => {
    roomy(socket._handle.fd);
    process.stdout.write("ready\n");
  });
  process.on("SIGTERM", () => {
    process.stdout.write(`${JSON.stringify(seen)}\n`, () => process.exit(0));
  });
} else {
  const begun = performance.now();
  let next = Number(first);
  const tick = () => {
    const due = Math.min(Number(last), Number(first) + Math.floor(performance.now() - begun));
    const most = next + 32;
    for (; next <= due && next < most; next += 1) {
      const octets = Buffer.alloc(64);
      octets.writeUInt32BE(next);
      socket.send(octets, Number(port), address);
    }
    if (next > Number(last)) setTimeout(() => socket.close(), 50);
    else setTimeout(tick, 1);
  };
  tick();
}

/** SO_RCVBUFFORCE: what comes while this process has no turn is not lost here. */
function roomy(fd) {
  const setsockopt = koffi
    .load("libc.so.6")
    .func("int setsockopt(int, int, int, const void *, unsigned int)");
  if (setsockopt(fd, 1, 33, new Uint8Array(Int32Array.of(16 << 20).buffer), 4) < 0)
    throw new Error(`SO_RCVBUFFORCE: errno ${koffi.errno()}`);
}
