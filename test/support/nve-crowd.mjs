// Very many NVEs in one program, each with its own certificate, session and watch:
// `node nve-crowd.mjs <NVA host:port> <CA folder> <VTEP net> <NVEs> <VNICs each> <VNs> <first VN>`. Says one JSON line when
// every VNIC is acknowledged and every NVE has been told all that is in its VN, and one for each session that ends; then it
// stays until it is killed.
import { join } from "node:path";
import { connect } from "@nve/program/rpc";
import { readTls } from "@nve/program/tls-files";
import { NveClient, NveMessage, Report, WatchRequest } from "@nve/protocol-spec/proto/nve";
import { Claim } from "@nve/protocol-spec/proto/types";

const [, , address, pki, net, ...numbers] = process.argv;
const [nves, vnicsPerNve, vns, firstVn] = numbers.map(Number);
const begin = performance.now();
const say = (line) => process.stdout.write(`${JSON.stringify(line)}\n`);
/** In a VN are the VNICs of every `vns`-th NVE. */
const inVn = (n) => Math.ceil((nves - (n % vns)) / vns) * vnicsPerNve;

/** So many at a time shake hands: of all at once the first would be silent for seconds on a busy machine. */
const SLICE = 20;

const told = [];
for (let n = 0; n < nves; n += SLICE) {
  const slice = Array.from({ length: Math.min(SLICE, nves - n) }, (_, i) => nve(n + i));
  told.push(...slice.map((one) => one.told));
  await Promise.all(slice.map(({ acknowledged }) => acknowledged));
}
await Promise.all(told);
say({ ready: nves, vnics: nves * vnicsPerNve, ms: Math.round(performance.now() - begin) });

/** `acknowledged`: its VNICs are claimed; `told`: it holds all mappings of its VN, too. */
function nve(n) {
  const id = `crowd${n}`;
  const file = (name) => join(pki, "nve", id, `${name}.pem`);
  const files = { certificate: file("certificate"), key: file("key"), ca: file("ca") };
  const client = connect(NveClient, address, { current: readTls(files) });
  const stream = client.connect();
  const vnId = firstVn + (n % vns);
  const send = ($case, value) => stream.write(NveMessage.create({ message: { $case, value } }));
  const nveId = id;
  const vteps = [Buffer.from(`${net}.0.${n + 1}`.split(".").map(Number))];
  const incarnation = Buffer.alloc(16, 1);
  const location = { nveId, vteps, encapsulations: [1] };
  send("hello", { versionMin: 1, versionMax: 1, location, incarnation });
  setInterval(() => send("alive", {}), 1000);
  const over = (reason) => say({ nve: id, reason });
  const acknowledged = new Promise((resolve) => {
    stream.on("error", ({ details }) => over(details));
    stream.on("end", () => over("ended"));
    stream.on("data", ({ message }) => {
      if (message?.$case === "welcome") send("report", whole(n, vnId));
      if (message?.$case !== "ack") return;
      const [refused] = message.value.refused;
      if (refused !== undefined) over(refused.reason);
      else resolve();
    });
  });
  const told = acknowledged.then(() => watch(client, id, vnId, inVn(n), over));
  return { acknowledged, told };
}

function whole(n, vnId) {
  const claims = Array.from({ length: vnicsPerNve }, (_, i) => {
    const number = n * vnicsPerNve + i;
    const octets = [(number >> 8) & 255, number & 255];
    return Claim.create({
      vnId,
      mac: Buffer.from([2, 1, 0, 0, ...octets]),
      ips: [Buffer.from([10, 9, ...octets])],
      vnic: Buffer.from([...Buffer.alloc(14, 3), ...octets]),
      hypervisor: `host${n}`,
      port: "eth1",
    });
  });
  return Report.create({ serial: 1n, claims, joinedVns: [vnId], complete: true });
}

function watch(client, nveId, vnId, mappings, over) {
  const stream = client.watch();
  const held = new Set();
  stream.write(WatchRequest.create({ nveId, add: [{ vnId }] }));
  return new Promise((resolve) => {
    stream.on("error", ({ details }) => over(details));
    stream.on("data", ({ event }) => {
      if (event?.$case !== "delta") return;
      for (const { mac } of event.value.mappings) held.add(mac.toString("hex"));
      for (const mac of event.value.withdrawn) held.delete(mac.toString("hex"));
      if (held.size >= mappings) resolve();
    });
  });
}
