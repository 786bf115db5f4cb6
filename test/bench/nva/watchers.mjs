// `watchers.mjs <address> <count>`: as many NVEs that watch VN 1, and when each of them heard of which address.
import { connect } from "@nve/program/rpc";
import { NveClient, WatchRequest } from "@nve/protocol-spec/proto/nve";
import { unixMs } from "./rig.mjs";

const [, , address, count] = process.argv;
/** By the number in the MAC address. */
const heard = new Map();
let ready = 0;
let cpu = process.cpuUsage();

for (let n = 0; n < Number(count); n++) {
  const client = connect(NveClient, address); // a connection of its own
  const stream = client.watch();
  stream.on("error", (error) => {
    process.stderr.write(`watcher ${n}: ${error.message}\n`);
    process.exit(1);
  });
  stream.on("data", ({ event }) => {
    if (event?.$case === "snapshotEnd") began();
    if (event?.$case !== "delta") return;
    const now = unixMs();
    for (const { mac } of event.value.mappings) {
      const number = mac.readUInt32BE(2);
      const times = heard.get(number);
      if (times === undefined) heard.set(number, [now]);
      else times.push(now);
    }
  });
  stream.write(
    WatchRequest.create({ nveId: `tor${n + 1}`, add: [{ vnId: 1, cursor: undefined }] }),
  );
  if (n % 50 === 49) await new Promise((resolve) => setTimeout(resolve, 20));
}

function began() {
  ready += 1;
  if (ready < Number(count)) return;
  heard.clear();
  cpu = process.cpuUsage();
  process.send({ is: "ready" });
}

process.on("message", () => {
  const { user, system } = process.cpuUsage(cpu);
  process.send({ is: "heard", heard, cpuMs: (user + system) / 1000 });
});
