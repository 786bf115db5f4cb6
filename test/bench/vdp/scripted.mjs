// Runs in the station's node: a station that is nothing but frames made beforehand, as many VSIs in an ECPDU as fit, the
// next one as soon as the last is acknowledged. It shows what a bridge can do, not what a station can. A line of JSON in
// is a command.
import { createInterface } from "node:readline";
import { linkMonitor, openPacketLink } from "@nve/linux";
import {
  announcing,
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

const { name, timers } = JSON.parse(process.argv[2] ?? "{}");
/** Of 39 octets each, what a ULPDU of 1493 octets holds. */
const PER_ECPDU = 37;
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

function vsi(n, vns) {
  const id = hex(n);
  const mac = Mac(`02:00:${id.replace(/(..)(?!$)/g, "$1:")}`);
  const association = {
    status: { is: "request", suspended: false, migrating: false, code: 0 },
    vsiType: { id: 7, version: 1 },
    vsiId: vsiIdOf(Uuid(`fa9b7fff-b0a0-4893-abcd-beef${id}`)),
    filters: { by: "group-mac-vid", entries: [{ groupId: VnId(5000 + (n % vns)), mac }] },
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
  tlvs: [evbOptionalTlv(evb), announcing()],
});
const announce = () => link.send(frame(EtherType.lldp, lldpdu));

const say = (message) => process.stdout.write(`${JSON.stringify(message)}\n`);
const queue = [];
let sequence = Math.floor(Math.random() * 60_000);
let inFlight;

function attach({ first, count, vns }) {
  for (let n = 0; n < count; n += PER_ECPDU) {
    const some = Math.min(PER_ECPDU, count - n);
    const tlvs = Array.from({ length: some }, (_, i) => vsi(first + n + i, vns));
    queue.push(vdpduOctets({ manager, tlvs }));
  }
  if (inFlight === undefined) send();
}

function send() {
  const ulpdu = queue.shift();
  if (ulpdu === undefined) return;
  sequence = sequence >= 0xffff ? 1 : sequence + 1;
  inFlight = { sequence, octets: ecp("request", sequence, ulpdu), timer: undefined };
  transmit(inFlight, 0);
}

/** 802.1Q clause 43: again after each ack timeout. */
function transmit(one, copies) {
  if (copies > r) {
    inFlight = undefined;
    return send();
  }
  link.send(one.octets);
  one.timer = setTimeout(() => transmit(one, copies + 1), 2 ** rte / 100);
}

link.onFrame((octets) => {
  const { payload } = decode(octets, readFrame);
  const pdu = decode(payload, readEcpdu);
  if (pdu.op === "request") {
    link.send(ecp("ack", pdu.sequence));
  } else if (pdu.sequence === inFlight?.sequence) {
    clearTimeout(inFlight.timer);
    inFlight = undefined;
    send();
  }
});
announce();
setInterval(announce, 1000);
createInterface({ input: process.stdin })
  .on("line", (line) => attach(JSON.parse(line)))
  .on("close", () => process.exit());
say({ on: "started" });
