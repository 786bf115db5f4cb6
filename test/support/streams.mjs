// Bulk traffic in the namespace that it runs in, to be told what arrived:
//   node streams.mjs tcp-serve <address> <port>               prints the octets of one connection and their digest
//   node streams.mjs tcp-send <address> <port> <octets>       prints the digest of what it sent
//   node streams.mjs udp-serve <address> <port> <datagrams>   prints how many whole ones came
//   node streams.mjs udp-send <address> <port> <datagrams>    ten of 1,200 octets at a time, split by the kernel
//                                                             or the NIC (UDP_SEGMENT), as QUIC sends
// A server prints "ready" first.
import { createHash } from "node:crypto";
import { createSocket } from "node:dgram";
import { connect, createServer } from "node:net";
import koffi from "koffi";

const [, , what, address, port, amount] = process.argv;
const size = 1200;
const segments = 10;
const say = (line) => process.stdout.write(`${line}\n`);
const programs = {
  "tcp-serve": tcpServe,
  "tcp-send": tcpSend,
  "udp-serve": udpServe,
  "udp-send": udpSend,
};
programs[what](Number(port), Number(amount));

function tcpServe(port) {
  const server = createServer((socket) => {
    const hash = createHash("sha256");
    let octets = 0;
    socket.on("data", (data) => {
      octets += data.length;
      hash.update(data);
    });
    socket.on("end", () => {
      say(`${octets} ${hash.digest("hex")}`);
      socket.end();
      server.close();
    });
  });
  server.listen(port, address, () => say("ready"));
}

function tcpSend(port, amount) {
  const hash = createHash("sha256");
  const socket = connect(port, address);
  let left = amount;
  const some = () => {
    while (left > 0) {
      const data = Buffer.alloc(Math.min(left, 65_536), (left / 65_536) & 0xff);
      left -= data.length;
      hash.update(data);
      if (!socket.write(data)) return socket.once("drain", some);
    }
    socket.end();
  };
  socket.once("connect", some);
  socket.once("close", () => say(hash.digest("hex")));
  socket.resume();
}

function udpServe(port, amount) {
  const socket = createSocket({
    type: address.includes(":") ? "udp6" : "udp4",
    recvBufferSize: 1 << 20,
  });
  let whole = 0;
  const done = () => {
    say(whole);
    process.exit();
  };
  socket.on("message", (data) => {
    if (data.length === size && data.every((octet) => octet === data[0])) whole++;
    if (whole === amount) done();
  });
  setTimeout(done, 8000);
  socket.bind(port, address, () => say("ready"));
}

async function udpSend(port, amount) {
  const libc = koffi.load("libc.so.6");
  const sendto = libc.func(
    "long sendto(int, const void *, size_t, int, const void *, unsigned int)",
  );
  const setsockopt = libc.func("int setsockopt(int, int, int, const void *, unsigned int)");
  const v6 = address.includes(":");
  const fd = libc.func("int socket(int, int, int)")(v6 ? 10 : 2, 2, 0);
  if (setsockopt(fd, 17, 103, new Uint8Array(Int32Array.of(size).buffer), 4) < 0)
    throw new Error("UDP_SEGMENT");
  const to = v6
    ? address6(port)
    : Uint8Array.of(
        2,
        0,
        port >> 8,
        port & 0xff,
        ...address.split(".").map(Number),
        ...Array(8).fill(0),
      );
  for (let n = 0; n < amount; n += segments) {
    const data = Buffer.concat(
      Array.from({ length: segments }, (_, i) => Buffer.alloc(size, (n + i) & 0xff)),
    );
    if (sendto(fd, data, data.length, 0, to, to.length) < 0)
      throw new Error(`errno ${koffi.errno()}`);
    if (n % 100 === 0) await new Promise((resolve) => setTimeout(resolve, 2));
  }
  say(amount);
}

/** sockaddr_in6 of an address with one "::". */
function address6(port) {
  const [start = "", end = ""] = address.split("::");
  const words = (text) =>
    text === "" ? [] : text.split(":").map((word) => Number.parseInt(word, 16));
  const [a, b] = [words(start), words(end)];
  const all = [...a, ...Array(8 - a.length - b.length).fill(0), ...b];
  const octets = all.flatMap((word) => [word >> 8, word & 0xff]);
  return Uint8Array.of(10, 0, port >> 8, port & 0xff, 0, 0, 0, 0, ...octets, 0, 0, 0, 0);
}
