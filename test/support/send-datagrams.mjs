// Sends UDP datagrams: `node send-datagrams.mjs <address> <port> <hex>...`, in the namespace that it runs in.
import { createSocket } from "node:dgram";

const [, , address = "", port = "", ...datagrams] = process.argv;
const socket = createSocket("udp4");

for (const datagram of datagrams) await send(Buffer.from(datagram, "hex"));
socket.close();

function send(octets) {
  return new Promise((resolve, reject) => {
    socket.send(octets, Number(port), address, (error) => (error ? reject(error) : resolve()));
  });
}
