// Datagrams in the namespace that it runs in, and which errors the kernel tells their sender (IP_RECVERR, ip(7)):
//   node udp-errors.mjs <address> <port> <datagrams>   one each 20 ms; prints { sent, errors: { <errno>: <times> } }
import koffi from "koffi";

const [, , address, port, amount] = process.argv;
const [AF_INET, SOCK_DGRAM, IPPROTO_IP, IP_RECVERR] = [2, 2, 0, 11];
const libc = koffi.load("libc.so.6");
const send = libc.func("long send(int, const void *, size_t, int)");
const setsockopt = libc.func("int setsockopt(int, int, int, const void *, unsigned int)");
const connect = libc.func("int connect(int, const void *, unsigned int)");

const fd = libc.func("int socket(int, int, int)")(AF_INET, SOCK_DGRAM, 0);
const on = new Uint8Array(Int32Array.of(1).buffer);
if (setsockopt(fd, IPPROTO_IP, IP_RECVERR, on, 4) < 0) throw new Error("IP_RECVERR");
const octets = address.split(".").map(Number);
const to = Uint8Array.of(AF_INET, 0, port >> 8, port & 0xff, ...octets, 0, 0, 0, 0, 0, 0, 0, 0);
if (connect(fd, to, to.length) < 0) throw new Error("connect");

const names = Object.fromEntries(
  Object.entries(koffi.os.errno).map(([name, number]) => [number, name]),
);
const errors = {};
let sent = 0;
for (let n = 0; n < Number(amount); n++) {
  if (send(fd, Buffer.from("hello"), 5, 0) >= 0) sent += 1;
  else {
    const name = names[koffi.errno()] ?? String(koffi.errno());
    errors[name] = (errors[name] ?? 0) + 1;
  }
  await new Promise((resolve) => setTimeout(resolve, 20));
}
process.stdout.write(`${JSON.stringify({ sent, errors })}\n`);
