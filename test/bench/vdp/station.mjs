// Runs in the station's node: stations of our own code, one for each port: LLDP, EVB, ECP, and the book of VNICs with
// its VDP machines, as in the hypervisor-agent, without the virtual switch. A line of JSON in is a
// command, a line out says what happened.
import { createInterface } from "node:readline";
import { openUplink } from "@nve/hypervisor-agent/uplink";
import { linkMonitor, openEdgePort, openPacketLink, systemClock } from "@nve/linux";
import { createLog } from "@nve/program/log";
import { defaultEvbPolicy, EtherType, Instant, Mac, Uuid, VnId } from "@nve/protocol-spec";

const { ports, timers } = JSON.parse(process.argv[2] ?? "{}");
const say = (message) => process.stdout.write(`${JSON.stringify(message)}\n`);
const HOUR = 3_600_000;

await linkMonitor().ready;
const stations = ports.map((name, i) => openStation(name, i));

function openStation(name, at) {
  const associated = new Set();
  const uplink = openUplink({
    hypervisor: `server${at}`,
    version: "0.0.0",
    link: openPacketLink({ interface: name, etherTypes: [EtherType.lldp, EtherType.ecp] }),
    clock: systemClock,
    policy: { ...defaultEvbPolicy, ...timers },
    settings: {
      vdp: { manager: new Uint8Array(16), typeId: 0, typeVersion: 0, hypervisor: `server${at}` },
      retryMs: { first: 500, max: 10_000, refused: 30_000 },
    },
    firstSequence: 1 + at,
    openEdgePort: (options) =>
      openEdgePort({
        ...options,
        onVdpdu: (vdpdu, ...more) => {
          options.onVdpdu(vdpdu, ...more);
          for (const tlv of vdpdu.tlvs) if (tlv.is === "association") hear(associated, tlv);
        },
      }),
    perform: () => {}, // what a virtual switch and an operator would be told
    log: createLog("station", "silent"),
  });
  return { uplink, associated };
}

let wanted = Number.POSITIVE_INFINITY;
let count = 0;
let times = [];

/** An Associate was answered with success, the first time since the links came, or since it was asked. */
function hear(associated, { type, association: { vsiId, status } }) {
  if (type !== "associate" || status.is !== "response" || status.code !== 0) return;
  const before = associated.size;
  associated.add(Buffer.from(vsiId.octets).toString("hex"));
  if (associated.size === before) return;
  count += 1;
  times.push(unixMs());
  if (count === wanted) say({ on: "associated", unixMs: unixMs(), times });
}

function want(total) {
  wanted = total;
  count = 0;
  times = [];
  for (const { associated } of stations) associated.clear();
}

const unixMs = () => performance.timeOrigin + performance.now();

const hex = (n) => n.toString(16).padStart(8, "0");

/** `count` VNICs on each port, as many calls of the operator in one turn of the loop. */
function attach({ first, count, vns, firstVn = 5000 }) {
  for (const [at, { uplink }] of stations.entries()) {
    for (let n = first; n < first + count; n++) {
      const id = hex(at * 0x10000 + n);
      const mac = Mac(`02:00:${id.replace(/(..)(?!$)/g, "$1:")}`);
      uplink.feed({
        on: "attach",
        call: n,
        vnic: Uuid(`fa9b7fff-b0a0-4893-abcd-beef${id}`),
        interface: `tap${n}`,
        tree: [{ vn: VnId(firstVn + (n % vns)), macs: [{ mac, ips: [] }] }],
        deadline: Instant(systemClock.now() + HOUR),
      });
    }
  }
}

const ready = () => stations.every(({ uplink }) => uplink.port.evb.peer && uplink.port.evb.groupId);
const counters = () =>
  stations
    .map(({ uplink }) => uplink.port.counters.ecp)
    .reduce((sum, one) =>
      Object.fromEntries(Object.entries(one).map(([key, n]) => [key, n + sum[key]])),
    );

createInterface({ input: process.stdin }).on("line", (line) => {
  const command = JSON.parse(line);
  if (command.wanted !== undefined) want(command.wanted);
  if (command.do === "ready") say({ on: "ready", ready: ready() });
  if (command.do === "attach") attach(command);
  if (command.do === "counters") say({ on: "counters", ...counters() });
});
process.stdin.on("end", () => process.exit());
say({ on: "started" });
