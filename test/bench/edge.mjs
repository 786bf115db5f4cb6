// What a VSI costs where nobody else works: a station of ours with its book of VNICs, and the edge port of a bridge that
// grants whatever is asked, in one process, joined in memory. No root, no kernel, no NVA, no virtual switch.
import { openUplink } from "@nve/hypervisor-agent/uplink";
import { announcement, openEdgePort, systemClock } from "@nve/linux";
import { createLog } from "@nve/program/log";
import { defaultEvbPolicy, Instant, Mac, mtuTlvs, Uuid, Vid, VnId } from "@nve/protocol-spec";

/** Rounds of as many VSIs, the ones before stay: the first shows a program just started, the last what grows with them. */
export async function run(vsis = "1000", rounds = "5") {
  const [a, b] = joined();
  const uplink = openStation(a);
  const bridge = openBridge(b);
  await until(() => uplink.port.evb.peer && uplink.port.evb.groupId);
  const rows = [];
  for (let round = 0; round < Number(rounds); round++) {
    rows.push(await measure(uplink, round * Number(vsis), Number(vsis)));
  }
  uplink.close();
  bridge.close();
  process.stdout.write(`${JSON.stringify({ node: process.version, rounds: rows }, null, 2)}\n`);
}

async function measure(uplink, first, count) {
  const [begun, cpu] = [performance.now(), process.cpuUsage()];
  for (let n = first; n < first + count; n++) uplink.feed(attach(n));
  const asked = performance.now();
  await until(() => granted(uplink.book) === first + count);
  const all = performance.now();
  const { user, system } = process.cpuUsage(cpu);
  return {
    vsis: first + count,
    callsMs: Math.round(asked - begun),
    allMs: Math.round(all - begun),
    perSecond: Math.round((count * 1000) / (all - begun)),
    cpuUsPerVsi: Math.round((user + system) / count),
  };
}

function granted({ vnics }) {
  let count = 0;
  for (const vnic of vnics.values()) if (vnic.granted !== undefined) count += 1;
  return count;
}

const HOUR = 3_600_000;
const VNS = 50;

function attach(n) {
  const id = n.toString(16).padStart(8, "0");
  const mac = Mac(`02:00:${id.replace(/(..)(?!$)/g, "$1:")}`);
  return {
    on: "attach",
    call: n,
    vnic: Uuid(`fa9b7fff-b0a0-4893-abcd-beef${id}`),
    interface: `tap${n}`,
    tree: [{ vn: VnId(5000 + (n % VNS)), macs: [{ mac, ips: [] }] }],
    deadline: Instant(systemClock.now() + HOUR),
  };
}

const openStation = (link) =>
  openUplink({
    hypervisor: "server",
    version: "0.0.0",
    link,
    clock: systemClock,
    policy: defaultEvbPolicy,
    settings: {
      vdp: { manager: new Uint8Array(16), typeId: 0, typeVersion: 0, hypervisor: "server" },
      retryMs: { first: 500, max: 10_000, refused: 30_000 },
    },
    firstSequence: 1,
    openEdgePort,
    perform: () => {},
    log: createLog("station", "silent"),
  });

function openBridge(link) {
  const { tlvs, ...ids } = announcement({
    system: "bridge",
    description: "bench",
    capability: "bridge",
    interface: "b",
    port: "b",
    reads: ["addresses", "names", "labels", "prefixes", "sets"],
  });
  const port = openEdgePort({
    link,
    clock: systemClock,
    role: "bridge",
    policy: defaultEvbPolicy,
    firstSequence: 1,
    lldp: { ...ids, tlvs },
    onEvb: () => {},
    onNeighbour: () => {},
    onState: () => {},
    onVdpdu: ({ manager, tlvs }) => {
      for (const tlv of tlvs) {
        if (tlv.is === "association") port.send({ manager, tlvs: answerTo(tlv) }, () => {});
      }
    },
  });
  return port;
}

/** As our switch-agent answers: a tag for each VN, and its MTU. */
function answerTo({ is, type, association }) {
  const { filters, vsiId } = association;
  const entries = filters.entries.map((entry) => ({
    ...entry,
    vid: Vid(1 + (entry.groupId % 4094)),
  }));
  const status = { is: "response", keep: false, hard: false, code: 0 };
  const mtus = entries.map(({ groupId }) => ({ vn: VnId(groupId), mtu: 1500 }));
  return [
    { is, type, association: { ...association, status, filters: { ...filters, entries } } },
    ...mtuTlvs({ vsiId, entries: mtus }),
  ];
}

/** Two links; a frame comes in a later turn of the loop, as from a socket. */
function joined() {
  const ends = ["a", "b"].map((name, i) => ({ name, mac: Mac(`02:00:00:00:ff:0${i}`), hear: [] }));
  return ends.map(({ name, mac, hear }, i) => ({
    name,
    mac,
    state: "up",
    dropped: { in: 0, out: 0 },
    send: (frame) => {
      setImmediate(() => {
        for (const deliver of ends[1 - i].hear) deliver(frame);
      });
      return true;
    },
    onFrame: (deliver) => hear.push(deliver),
    onState: () => {},
    close: () => {},
  }));
}

async function until(probe, timeoutMs = 20_000) {
  const deadline = performance.now() + timeoutMs;
  while (!probe()) {
    if (performance.now() > deadline) throw new Error(`not within ${timeoutMs} ms`);
    await new Promise((resolve) => setTimeout(resolve, 2));
  }
}
