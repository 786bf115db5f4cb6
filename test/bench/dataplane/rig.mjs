// One side of the bench: two virtual machines, their hypervisors and two ToRs, each a network namespace of its own.
//
//   vm1 ── hv1 ══ tor1 ──underlay── tor2 ══ hv2 ── vm2        ══: tagged (10, 30) where the side takes tags
//
// In each, the cable to the left is `left` (interface 10) and the one to the right `right` (11).
import { execFile, execFileSync, spawn } from "node:child_process";
import { closeSync, mkdtempSync, openSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { promisify } from "node:util";
import { attachIngress, openBpfObject, u32, u64 } from "@nve/linux/bpf";
import koffi from "koffi";
import { after, file, until } from "../nva/rig.mjs";

const run = promisify(execFile);
const places = ["vm1", "hv1", "tor1", "tor2", "hv2", "vm2"];
export const LEFT = 10;
export const RIGHT = 11;
export const vteps = { 4: ["192.0.2.1", "192.0.2.2"], 6: ["2001:db8::1", "2001:db8::2"] };
export const vmMacs = ["02:02:00:00:00:00", "02:01:00:00:00:00"];
export const vmIps = ["10.0.0.1", "10.0.0.2"];
const underlayMacs = ["02:ee:00:00:00:01", "02:ee:00:00:00:02"];
/** What 1,500 octets of a tenant need in the underlay, over IPv6 too. */
const UNDERLAY_MTU = 1600;

/** Compiles what the bench consists of. @returns the paths, and what removes them */
export function buildPrograms() {
  const folder = mkdtempSync(join(tmpdir(), "bench-dataplane-"));
  const [traffic, stations] = [join(folder, "traffic"), join(folder, "stations.bpf.o")];
  const source = (name) => file(`../dataplane/programs/${name}`);
  const machine = { x64: "x86_64", arm64: "aarch64" }[process.arch] ?? process.arch;
  execFileSync("cc", ["-O2", "-std=gnu11", source("traffic.c"), "-o", traffic]);
  const flags = ["-O2", "-g", "-target", "bpf", "-mcpu=v3", `-I/usr/include/${machine}-linux-gnu`];
  execFileSync("clang", [...flags, "-c", source("stations.bpf.c"), "-o", stations]);
  return { folder, traffic, stations, remove: () => rmSync(folder, { recursive: true }) };
}

const libc = koffi.load("libc.so.6");
const setns = libc.func("int setns(int fd, int type)");
const CLONE_NEWNET = 0x40000000;

/** Runs `act`, which must not wait, in a namespace. */
export function inside(name, act) {
  const [back, there] = ["/proc/thread-self/ns/net", `/run/netns/${name}`].map((path) =>
    openSync(path, "r"),
  );
  try {
    if (setns(there, CLONE_NEWNET) !== 0) throw new Error(`namespace ${name}: ${koffi.errno()}`);
    return act();
  } finally {
    setns(back, CLONE_NEWNET);
    closeSync(back);
    closeSync(there);
  }
}

let rigs = 0;
const open = new Set();
process.once("exit", () => {
  for (const drop of [...open]) drop();
});

/** The namespaces of one side, with stations that tag or do not. `tors` is the side's own (sides.mjs). */
export async function openRig(programs, { tagged, family = 4, tors, offload = true }) {
  const number = ++rigs;
  const name = (place) => `bench-${process.pid}-${number}-${place}`;
  const closing = [];
  const rig = { name, family, programs, offload, tagged };
  const close = async () => {
    for (const act of closing.splice(0).reverse()) await act();
  };
  const drop = () => {
    open.delete(drop);
    for (const place of places)
      try {
        execFileSync("ip", ["netns", "del", name(place)], { stdio: "ignore" });
      } catch {
        // never made
      }
  };
  open.add(drop);
  closing.push(drop);
  try {
    await wire(name, family);
    const object = openBpfObject(programs.stations);
    closing.push(() => object.close());
    const attach = (place, side, program) => {
      const options = { kind: "auto", handle: 0xbe5c };
      const attachment = inside(name(place), () =>
        attachIngress(object.program(program), side, options),
      );
      closing.push(() => attachment.release());
    };
    attach("hv1", LEFT, tagged ? "tag_to_right" : "to_right");
    attach("hv1", RIGHT, tagged ? "untag_to_left" : "to_left");
    attach("hv2", RIGHT, tagged ? "tag_to_left" : "to_left");
    attach("hv2", LEFT, tagged ? "untag_to_right" : "to_right");
    attach("vm2", LEFT, "sink");
    const counted = object.perCpuMap("counted", u32, u64);
    rig.received = () => counted.get(0).reduce((all, n) => all + n, 0);
    if (!offload) for (const place of ["vm1", "vm2"]) await setOffload(rig, place, false);
    Object.assign(rig, (await tors(rig, { attach, closing })) ?? {});
    await until(`a ping through ${number}`, () => pings(rig), 15_000, 100);
    return { ...rig, close };
  } catch (error) {
    await close();
    throw error;
  }
}

async function wire(name, family) {
  const links = [];
  const lines = [];
  for (const [at, place] of places.entries()) {
    execFileSync("ip", ["netns", "add", name(place)]);
    write(name(place), "net/ipv6/conf/default/disable_ipv6", 1);
    if (at === 0) continue;
    const end = (side, index, of) => `name ${side} index ${index} netns ${name(of)}`;
    links.push(
      `link add ${end("right", RIGHT, places[at - 1])} type veth peer ${end("left", LEFT, place)}`,
    );
  }
  await ipBatch(undefined, links);
  for (const place of places) {
    lines.push([place, ["link set lo up"]]);
    if (place !== "vm1") lines.push([place, ["link set left up"]]);
    if (place !== "vm2") lines.push([place, ["link set right up"]]);
  }
  const underlay = [
    ["tor1", "right", 0],
    ["tor2", "left", 1],
  ];
  for (const [place, side, own] of underlay) {
    const prefix = family === 4 ? 24 : 64;
    const [address, other] = [vteps[family][own], vteps[family][1 - own]];
    if (family === 6) write(name(place), `net/ipv6/conf/${side}/disable_ipv6`, 0);
    lines.push([
      place,
      [
        `link set ${side} address ${underlayMacs[own]} mtu ${UNDERLAY_MTU}`,
        `addr add ${address}/${prefix} dev ${side}${family === 6 ? " nodad" : ""}`,
        `neigh add ${other} lladdr ${underlayMacs[1 - own]} dev ${side} nud permanent`,
      ],
    ]);
  }
  for (const [own, [place, side]] of [
    ["vm1", "right"],
    ["vm2", "left"],
  ].entries())
    lines.push([
      place,
      [
        `link set ${side} address ${vmMacs[own]}`,
        `addr add ${vmIps[own]}/24 dev ${side}`,
        `neigh add ${vmIps[1 - own]} lladdr ${vmMacs[1 - own]} dev ${side} nud permanent`,
      ],
    ]);
  for (const [place, batch] of lines) await ipBatch(name(place), batch);
}

export function ipBatch(namespace, lines, program = "ip") {
  const where = namespace === undefined ? [] : ["-n", namespace];
  execFileSync(program, [...where, "-batch", "-"], { input: `${lines.join("\n")}\n` });
}

/** A kernel setting of a namespace. */
export const write = (namespace, path, value) =>
  inNamespace(namespace, "sh", "-c", `echo ${value} >/proc/sys/${path}`);

export const inNamespace = (namespace, ...words) =>
  execFileSync("nsenter", [`--net=/run/netns/${namespace}`, ...words], { encoding: "utf8" });

const pings = (rig) =>
  run("nsenter", [
    `--net=/run/netns/${rig.name("vm1")}`,
    ...["ping", "-c", "1", "-W", "1", "-q", vmIps[1]],
  ]).then(
    () => true,
    () => false,
  );

/** One measurement of programs/traffic.c. @returns what it printed */
export async function traffic(rig, place, cpu, ...words) {
  const where = [`/run/netns/${rig.name(place)}`, String(cpu)];
  const { stdout } = await run(rig.programs.traffic, [...where, ...words.map(String)]);
  return JSON.parse(stdout);
}

/** The same, left to run. */
export function startTraffic(rig, place, cpu, ...words) {
  const where = [`/run/netns/${rig.name(place)}`, String(cpu)];
  return spawn(rig.programs.traffic, [...where, ...words.map(String)], {
    stdio: ["ignore", "pipe", "inherit"],
  });
}

export const setOffload = (rig, place, isOn) =>
  traffic(rig, place, 0, "offload", place === "vm1" ? "right" : "left", isOn ? 1 : 0);

/**
 * Frames of 64 octets from vm1 for so long, and how many came to vm2. `cpuUs`: processor time of one that came, of all
 * that was done for it; forwarding in the kernel is the sender's own time here.
 */
export async function blast(rig, { ms = 500, octets = 64, macs = 1, rate = 0 } = {}) {
  const [before, othersBefore] = [rig.received(), rig.cpuNs?.() ?? 0];
  const { sent, ns, cpuNs } = await traffic(
    rig,
    "vm1",
    1,
    "send",
    "right",
    ms,
    octets,
    16,
    macs,
    rate,
  );
  await after(rig.settleMs ?? 5);
  const received = rig.received() - before;
  const others = (rig.cpuNs?.() ?? 0) - othersBefore;
  return {
    sent,
    received,
    perSecond: (received * 1e9) / ns,
    cpuUs: (cpuNs + others) / 1000 / Math.max(1, received),
  };
}
