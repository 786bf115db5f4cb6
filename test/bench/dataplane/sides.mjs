// Who forwards between the access and the underlay: nobody (the floor), Linux, Open vSwitch, ours.
import { spawn } from "node:child_process";
import { once } from "node:events";
import { file } from "../nva/rig.mjs";
import { ovsTors } from "./ovs.mjs";
import { ipBatch, vmMacs, vteps, write } from "./rig.mjs";

/** The first is what the others' figures are a ratio of. */
export const FLOOR = "redirect";
export const TUNED = "bridge";

/** All of what may be asked of ours for each frame (tor.mjs). */
export const PROTECTIONS = ["counters", "source", "ips", "acl", "police", "flood", "answer"];

const sides = [
  { name: FLOOR, what: "each ToR is one `bpf_redirect`: the floor", tagged: true, tors: redirect },
  {
    name: "redirect-untagged",
    what: "the same, the hypervisors put no tag on",
    tagged: false,
    tors: redirect,
  },
  {
    name: "bridge-untuned",
    what: "Linux bridge and vxlan device, as the kernel boots",
    tagged: false,
    tors: bridge(1),
  },
  { name: TUNED, what: "the same, `bridge-nf-call-*` 0", tagged: false, tors: bridge(0) },
  { name: "bridge-v6", what: "the same over IPv6", tagged: false, tors: bridge(0), family: 6 },
  {
    name: "ovs",
    what: "Open vSwitch in userspace (netdev) and VXLAN",
    tagged: false,
    tors: ovsTors,
    offload: false,
  },
  ...[4, 6].flatMap((family) =>
    ["auto", "off"].flatMap((fastPath) =>
      [PROTECTIONS, []].map((protections) => ours(family, fastPath, protections)),
    ),
  ),
];

export const sideNames = sides.map(({ name }) => name);
export const sideOf = (name) => sides.find((side) => side.name === name);

/** Ours; `more.macs`: how many MACs are at each end. */
export function ours(family, fastPath, protections, { macs = 1 } = {}) {
  const words = [
    family === 6 && "v6",
    fastPath === "off" && "device",
    protections.length === 0 && "bare",
  ];
  const said = [
    protectionText(protections),
    ...(fastPath === "off" ? ["`fastPath: off`"] : []),
    ...(family === 6 ? ["over IPv6"] : []),
  ];
  return {
    name: ["ours", ...words.filter(Boolean)].join("-"),
    what: `ours, ${said.join(", ")}`,
    tagged: true,
    family,
    tors: (rig, { closing }) => oursTors(rig, closing, { family, fastPath, protections, macs }),
  };
}

async function oursTors(rig, closing, { family, fastPath, protections, macs }) {
  const open = (own) =>
    startTor(rig, closing, `tor${own + 1}`, {
      ...{ own, fastPath, protections },
      ...{ vtep: vteps[family][own], peer: vteps[family][1 - own] },
      ...(own === 0 ? { port: "left", vid: 10 } : { port: "right", vid: 30 }),
      ...(own === 0 ? { macs: 1, farMacs: macs } : { macs, farMacs: 1 }),
    });
  const agents = await Promise.all([open(0), open(1)]);
  return { agents };
}

/** @returns what asks the process of a ToR */
async function startTor(rig, closing, place, told) {
  const words = [
    `--net=/run/netns/${rig.name(place)}`,
    process.execPath,
    file("../dataplane/tor.mjs"),
  ];
  const child = spawn("nsenter", words, { stdio: ["ignore", "inherit", "inherit", "ipc"] });
  const ended = once(child, "exit");
  closing.push(async () => {
    child.disconnect();
    await ended;
  });
  const ask = async (message) => {
    child.send(message);
    const [reply] = await Promise.race([
      once(child, "message"),
      ended.then(() => [{ failed: "ended" }]),
    ]);
    if (reply.failed !== undefined) throw new Error(`${place}: ${reply.failed}`);
    return reply.answer;
  };
  await ask({ do: "open", ...told });
  return { ask };
}

function redirect(_, { attach }) {
  for (const place of ["tor1", "tor2"]) {
    attach(place, 10, "to_right");
    attach(place, 11, "to_left");
  }
}

/** A bridge with a vxlan device, MACs said beforehand, nothing learnt. */
function bridge(netfilter) {
  return (rig) => {
    for (const [own, place] of ["tor1", "tor2"].entries()) {
      const [local, remote] = [vteps[rig.family][own], vteps[rig.family][1 - own]];
      const [port, ownMac, farMac] = [own === 0 ? "left" : "right", vmMacs[own], vmMacs[1 - own]];
      const namespace = rig.name(place);
      const v4 = rig.family === 4 ? " noudpcsum" : "";
      ipBatch(namespace, [
        "link add br0 type bridge mcast_snooping 0",
        `link add vx type vxlan id 5000 local ${local} dstport 4789 nolearning${v4}`,
        "link set vx mtu 1500 master br0",
        `link set ${port} master br0`,
        "link set vx up",
        "link set br0 up",
      ]);
      const bridgeBatch = [
        `fdb append 00:00:00:00:00:00 dev vx dst ${remote}`,
        `fdb add ${farMac} dev vx dst ${remote} self static`,
        `fdb add ${farMac} dev vx master static`,
        `fdb add ${ownMac} dev ${port} master static`,
      ];
      ipBatch(namespace, bridgeBatch, "bridge");
      for (const table of ["iptables", "ip6tables", "arptables"])
        write(namespace, `net/bridge/bridge-nf-call-${table}`, netfilter);
    }
  };
}

function protectionText(protections) {
  if (protections.length === PROTECTIONS.length) return "all protections";
  return protections.join(", ") || "no protections";
}
