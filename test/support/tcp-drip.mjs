// One TCP connection that lasts, in the namespace that it runs in:
//   node tcp-drip.mjs serve <address> <port>   takes one connection; at its end prints { octets, digest }
//   node tcp-drip.mjs send <address> <port>    1,000 octets each 10 ms until SIGTERM; then prints { octets, digest, error }
// Both print "ready" first: when listening, when connected.
import { createHash } from "node:crypto";
import { connect, createServer } from "node:net";

const [, , what, address, port] = process.argv;
const hash = createHash("sha256");
let octets = 0;
const say = (value) => process.stdout.write(`${value}\n`);
const told = (error) => say(JSON.stringify({ octets, digest: hash.copy().digest("hex"), error }));
const take = (data) => {
  octets += data.length;
  hash.update(data);
};

if (what === "serve") {
  const server = createServer((socket) => {
    socket.on("data", take);
    socket.on("error", (error) => told(error.code));
    socket.on("end", () => {
      told();
      socket.end();
      server.close();
    });
  });
  server.listen(Number(port), address, () => say("ready"));
} else {
  const socket = connect(Number(port), address);
  socket.setNoDelay(true);
  socket.once("connect", () => {
    say("ready");
    let n = 0;
    const drip = setInterval(() => {
      const data = Buffer.alloc(1000, n++ & 0xff);
      take(data);
      socket.write(data);
    }, 10);
    process.once("SIGTERM", () => {
      clearInterval(drip);
      socket.end();
    });
    socket.once("close", (failed) => {
      clearInterval(drip);
      if (!failed) told();
    });
  });
  socket.once("error", (error) => told(error.code));
  socket.resume();
}
