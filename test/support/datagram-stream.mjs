// `datagram-stream.mjs send <address> <port> <per second>` sends numbered UDP datagrams until SIGTERM and prints how many;
// `datagram-stream.mjs count <port>` prints, on SIGTERM, how many came, how many of them twice, and the longest gap.
import { createSocket } from "node:dgram";

const [what, ...args] = process.argv.slice(2);
const socket = createSocket("udp4");
const end = (said) => {
  process.on("SIGTERM", () => {
    process.stdout.write(`${JSON.stringify(said())}\n`, () => process.exit(0));
  });
};

if (what === "send") {
  const [address, port, perSecond] = args;
  const begun = performance.now();
  let sent = 0;
  socket.bind(0, () => socket.setBroadcast(true));
  const timer = setInterval(() => {
    const due = Math.floor(((performance.now() - begun) / 1000) * Number(perSecond));
    for (; sent < due; sent++) {
      const octets = Buffer.alloc(64);
      octets.writeUInt32BE(sent);
      socket.send(octets, Number(port), address);
    }
  }, 1);
  end(() => {
    clearInterval(timer);
    return { sent };
  });
  process.stdout.write("sending\n");
} else {
  const seen = new Map();
  let [last, gapMs] = [0, 0];
  socket.on("message", (octets) => {
    const now = performance.now();
    if (last !== 0) gapMs = Math.max(gapMs, now - last);
    last = now;
    const n = octets.readUInt32BE();
    seen.set(n, (seen.get(n) ?? 0) + 1);
  });
  socket.bind(Number(args[0]), () => {
    socket.setRecvBufferSize(4_000_000);
    process.stdout.write("listening\n");
  });
  end(() => {
    const lost = Array.from({ length: Math.max(-1, ...seen.keys()) + 1 }, (_, n) => n).filter(
      (n) => !seen.has(n),
    );
    const twice = [...seen.values()].filter((n) => n > 1).length;
    return {
      received: seen.size,
      twice,
      gapMs: Math.round(gapMs),
      lost: lost.length,
      firstLost: lost.slice(0, 5),
    };
  });
}
