// Runs in the station's node: asks lldpad for VSIs through its control socket, as `vdptool -T -V assoc` does, which would
// cost a process for each. The words are those that vdptool sends (open-lldp, clif). A line of JSON in is a command.
import { createInterface } from "node:readline";
import { NativeSocket } from "@nve/linux/native";

const { name: interfaceName } = JSON.parse(process.argv[2] ?? "{}");
const AF_UNIX = 1;
const SOCK_DGRAM = 2;
const abstract = (name) =>
  Buffer.concat([Uint8Array.of(AF_UNIX, 0), Buffer.from(`\0/com/intel/lldpad${name}`)]);

let answered = () => {};
const socket = new NativeSocket(
  {
    domain: AF_UNIX,
    type: SOCK_DGRAM,
    protocol: 0,
    slotOctets: 8192,
    settings: [],
    address: abstract(`/${process.pid}`),
  },
  (messages) => {
    for (const octets of messages) {
      const text = Buffer.from(octets).toString("latin1");
      if (text.startsWith("R")) answered(text.slice(1, 3));
    }
  },
);

const hex = (n, digits) => n.toString(16).padStart(digits, "0");
const word = (text) => `${hex(text.length, 2)}${text}`;
const pair = (key, value) => `${word(key)}${hex(value.length, 4)}${value}`;

/** A command of the 802.1Qbg VDP module (0x80c4), version 3, "set TLV" (2), with arguments, mode "assoc" (3). */
function associate(n, vns) {
  const id = hex(n, 8);
  const uuid = `fa9b7fff-b0a0-4893-abcd-beef${id}`;
  const mac = `02:00:${id.replace(/(..)(?!$)/g, "$1:")}`;
  const vn = 5000 + (n % vns);
  const arguments_ = [
    ["mode", "assoc"],
    ["mgrid2", "mgr1"],
    ["typeid", "7"],
    ["typeidver", "1"],
    ["uuid", uuid],
    ["hints", "none"],
    ["filter", `0-${mac}-${vn}`],
  ];
  const words = arguments_.map(([key, value]) => pair(key, value)).join("");
  return `M000080c4C3020000011c${word(interfaceName)}0200000003${words}`;
}

const server = abstract("");
const ask = (words) =>
  new Promise((resolve, reject) => {
    answered = resolve;
    const error = socket.send(Buffer.from(words), server);
    if (error !== undefined) reject(new Error(`lldpad's control socket: ${error}`));
  });

async function attach({ first, count, vns }) {
  let refused = 0;
  for (let n = first; n < first + count; n++) {
    if ((await ask(associate(n, vns))) !== "00") refused += 1;
  }
  say({ on: "attached", refused });
}

const say = (message) => process.stdout.write(`${JSON.stringify(message)}\n`);
const commands = createInterface({ input: process.stdin });
say({ on: "started" });
for await (const line of commands) await attach(JSON.parse(line));
socket.close();
