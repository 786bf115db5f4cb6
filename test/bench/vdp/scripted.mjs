// Runs in the station's node: a station that is nothing but frames made beforehand, as many VSIs in an ECPDU as fit, the
// next one as soon as the last is acknowledged. It shows what a bridge can do, not what a station can.
import { linkMonitor, openPacketLink } from "@nve/linux";
import {
  decode,
  EtherType,
  ecpduOctets,
  evbOptionalTlv,
  frameOctets,
  GroupAddress,
  lldpduOctets,
  Mac,
  readEcpdu,
  readFrame,
  Uuid,
  VnId,
  vdpduOctets,
  vsiIdOf,
} from "@nve/protocol-spec";

const {
  name,
  timers,
  count,
  first,
  vns,
  firstVn = 5000,
  perEcpdu = 37,
  delayMs = 0,
} = JSON.parse(process.argv[2] ?? "{}");
const manager = new Uint8Array(16);
manager[0] = 1;
await linkMonitor().ready;
const link = openPacketLink({ interface: name, etherTypes: [EtherType.ecp] });
const source = link.mac;
const destination = GroupAddress.nearestCustomerBridge;
const frame = (etherType, payload) =>
  frameOctets({ destination, source, etherType, payload: padded(payload) });
const padded = (payload) =>
  payload.length >= 46 ? payload : Buffer.concat([payload, Buffer.alloc(46 - payload.length)]);
const ecp = (op, sequence, ulpdu = new Uint8Array()) =>
  frame(EtherType.ecp, ecpduOctets({ op, subtype: 1, sequence, ulpdu }));
const hex = (n) => n.toString(16).padStart(8, "0");

function vsi(n) {
  const id = hex(first + n);
  const mac = Mac(`02:00:${id.replace(/(..)(?!$)/g, "$1:")}`);
  const association = {
    status: { is: "request", suspended: false, migrating: false, code: 0 },
    vsiType: { id: 7, version: 1 },
    vsiId: vsiIdOf(Uuid(`fa9b7fff-b0a0-4893-abcd-beef${id}`)),
    filters: { by: "group-mac-vid", entries: [{ groupId: VnId(firstVn + (n % vns)), mac }] },
  };
  return { is: "association", type: "associate", association };
}

const text = new TextEncoder();
const { r, rte, rwd, rka } = timers;
const evb = {
  bridge: { groupId: false, reflectiveRelayCapable: false, reflectiveRelay: false },
  station: { groupId: true, reflectiveRelayRequest: false, reflectiveRelay: 3 },
  ...{ r, rte, rwd, rka, rolRwd: false, rolRka: false, mode: 2 },
};
const lldpdu = lldpduOctets({
  chassisId: { subtype: 7, octets: text.encode("scripted") },
  portId: { subtype: 5, octets: text.encode(name) },
  ttl: 120,
  tlvs: [evbOptionalTlv(evb)],
});
const announce = () => link.send(frame(EtherType.lldp, lldpdu));

const ecpdus = [];
for (let n = 0; n < count; n += perEcpdu) {
  const tlvs = Array.from({ length: Math.min(perEcpdu, count - n) }, (_, i) => vsi(n + i));
  ecpdus.push(vdpduOctets({ manager, tlvs }));
}
const base = 1 + Math.floor(Math.random() * 30_000);
let next = 0;
let timer;
let lost = 0;

function send() {
  const at = next;
  if (at >= ecpdus.length) return;
  const octets = ecp("request", base + at, ecpdus[at]);
  const attempt = (left) => {
    link.send(octets);
    timer = setTimeout(() => {
      lost += 1;
      if (left > 0) attempt(left - 1);
      else process.stderr.write(`ECPDU ${at} was not acknowledged\n`);
    }, 10.24);
  };
  attempt(20);
}

link.onFrame((octets) => {
  const { payload } = decode(octets, readFrame);
  const { op, sequence } = decode(payload, readEcpdu);
  if (op === "request") {
    link.send(ecp("ack", sequence));
  } else if (sequence === base + next) {
    clearTimeout(timer);
    next += 1;
    if (delayMs === 0) send();
    else setTimeout(send, delayMs);
  }
});
announce();
setInterval(announce, 1000);
process.stdin.on("data", () => send());
process.stdin.on("end", () => {
  process.stderr.write(`sent again ${lost}\n`);
  process.exit();
});
process.stdout.write("started\n");
