// A stream of numbered datagrams, to be counted where they arrive; in the namespace that it runs in.
//   node probe.mjs send <address> <port> <first> <last>   one each millisecond, until SIGTERM at the latest; one that is late is
//                                                         made up for, 32 at a time. Prints the number of the last
//   node probe.mjs hear <address> <port>                  until SIGTERM: prints what came, as JSON: [[number, ms], …]
import { createSocket } from "node:dgram";
import koffi from "koffi";

const [, , what, address = "", port = "", first = "0", last = "0"] = process.argv;
const socket = createSocket("udp4");

if (what === "hear") {
  const seen = [];
  socket.on("message", (octets) => seen.push([octets.readUInt32BE(0), Math.round(Date.now())]));
  socket.bind(Number(port), address, () => {
    process.noDeprecation = true; // there is no other way to the socket's number
    roomy(socket._handle.fd);
    process.stdout.write("ready\n");
  });
  /** All that lay here unread is counted too: the timer's turn comes before the socket's, and that before `setImmediate`'s. */
  const end = () => {
    const before = seen.length;
    setTimeout(() => {
      setImmediate(() => {
        if (seen.length > before) return end();
        process.stdout.write(`${JSON.stringify(seen)}\n`, () => process.exit(0));
      });
    }, 50);
  };
  process.on("SIGTERM", end);
} else {
  const begun = performance.now();
  let next = Number(first);
  let end = Number(last);
  process.on("SIGTERM", () => {
    end = next - 1;
  });
  const tick = () => {
    const due = Math.min(end, Number(first) + Math.floor(performance.now() - begun));
    const most = next + 32;
    for (; next <= due && next < most; next += 1) {
      const octets = Buffer.alloc(64);
      octets.writeUInt32BE(next);
      socket.send(octets, Number(port), address);
    }
    if (next <= end) setTimeout(tick, 1);
    else setTimeout(() => process.stdout.write(`${end}\n`, () => process.exit(0)), 50);
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
