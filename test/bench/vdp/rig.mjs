// The bench's own lab: a server and a bridge with cables between them, and no program until one is started.
import { once } from "node:events";
import {
  existsSync,
  mkdtempSync,
  openSync,
  readdirSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { down } from "@nve/lab/down";
import { execIn, nodeState } from "@nve/lab/labs";
import { spawnIn } from "@nve/lab/namespaces";
import { parseTopology } from "@nve/lab/topology";
import { up } from "@nve/lab/up";
import { call, connect } from "@nve/program/rpc";
import { NorthboundClient } from "@nve/protocol-spec/proto/northbound";

/** The same on all sides, so that all waits are equal: 10 ms, 10.5 s, 42 s. */
export const timers = { r: 3, rte: 10, rwd: 20, rka: 22 };
export const port = (n) => `p${n}`;

/** Nothing is left in the kernel, however the bench ends. */
const signals = ["SIGINT", "SIGTERM"];

const lldpadConf = (mode) => `nearest_customer_bridge : { ${port(0)} : { adminStatus = 3;
  tlvid0080c20d : { enableTx = true; evbmode = "${mode}"; evbgpid = true; evbrrreq = false;
    ecpretries = ${timers.r}; ecprte = ${timers.rte}; vdprwd = ${timers.rwd}; vdprka = ${timers.rka}; }; }; };
`;

/** Brings it up; `close` takes all of it down again, whatever runs in it. */
export async function openRig(ports) {
  const lab = `bench-vdp-${process.pid}`;
  const folder = mkdtempSync(join(tmpdir(), "bench-vdp-"));
  const links = Array.from({ length: ports }, (_, n) => ({
    endpoints: [`station:${port(n)}`, `bridge:${port(n)}`],
  }));
  const node = {
    kind: "linux",
    exec: ["mount -t tmpfs tmpfs /dev/shm"], // lldpad keeps its lock and its state there
    sysctls: { "net.ipv6.conf.default.disable_ipv6": 1 },
  };
  const underlay = { endpoints: ["station:u0", "bridge:u0"], mtu: 1600 };
  const bridge = { ...node, exec: [...node.exec, "ip addr add 192.0.2.1/24 dev u0"] };
  const topology = { nodes: { station: node, bridge }, links: [...links, underlay] };
  const close = async () => {
    for (const signal of signals) process.off(signal, stop);
    await down(lab);
    rmSync(folder, { recursive: true, force: true });
  };
  const stop = () => void close().then(() => process.exit(1));
  for (const signal of signals) process.on(signal, stop);
  try {
    await up(parseTopology(JSON.stringify({ name: lab, topology }), folder, lab), folder);
  } catch (error) {
    await close();
    throw error;
  }
  return { lab, folder, close };
}

/** Starts a program in a node, with BENCH_NICE=<n> at that priority, all alike: where the machine has other work too. `stop` resolves when it has ended. */
export function start({ lab, folder }, node, name, words, options = {}) {
  const log = openSync(join(folder, `${name}.log`), "a");
  const nice = process.env.BENCH_NICE;
  const command = nice === undefined ? words : ["nice", "-n", nice, ...words];
  const child = spawnIn(nodeState(lab, node), command, { stdio: ["pipe", log, log], ...options });
  const ended = once(child, "exit");
  const stop = async (signal = "SIGTERM") => {
    if (child.exitCode === null && child.signalCode === null) child.kill(signal);
    await ended;
  };
  return { child, ended, stop, log: () => readFileSync(join(folder, `${name}.log`), "utf8") };
}

export async function startLldpad(rig, node, role) {
  const conf = join(rig.folder, `${role}.conf`);
  writeFileSync(conf, lldpadConf(role));
  await run(rig, node, "rm", "-f", "/dev/shm/lldpad.state");
  const program = start(rig, node, `lldpad-${role}`, ["lldpad", "-p", "-V", "1", "-f", conf]);
  const ready = ["lldptool", "-t", "-i", port(0), "-g", "ncb", "-V", "evb"];
  await until("lldpad", async () => (await execIn(rig.lab, node, ready)).code === 0);
  return program;
}

/** @returns the program, and a client of its northbound API */
export async function startNva(rig, store) {
  const socket = join(rig.folder, "nva.sock");
  const use = store === "memory" ? { use: store } : { use: store, path: join(rig.folder, "nva") };
  const listen = { address: "127.0.0.1:7470", insecure: true };
  const config = { listen, socket: `unix:${socket}`, store: use, log: "warn" };
  const path = join(rig.folder, "nva.yaml");
  writeFileSync(path, JSON.stringify(config));
  const program = start(rig, "bridge", "nva", [...bin("nva"), "run", "--config", path]);
  await until("nva", () => existsSync(socket));
  const client = connect(NorthboundClient, `unix:${socket}`);
  const createVns = async (first, count) => {
    for (let vnId = first; vnId < first + count; vnId++) {
      const vn = { alias: `vn${vnId}`, vnId, vni: 100_000 + vnId, name: Buffer.alloc(0) };
      await call(client, client.createVn, { ...vn, tenant: "", mtu: 0 });
    }
  };
  return { ...program, client, createVns };
}

export async function startSwitchAgent(rig, ports, evb = timers) {
  const socket = join(rig.folder, "switch-agent.sock");
  const config = {
    nve: "tor1",
    vtep: "192.0.2.1",
    nva: { addresses: ["127.0.0.1:7470"], insecure: true },
    ports: Array.from({ length: ports }, (_, n) => ({ name: port(n) })),
    evb,
    socket: `unix:${socket}`,
    log: "info",
  };
  const path = join(rig.folder, "switch-agent.yaml");
  writeFileSync(path, JSON.stringify(config));
  const words = [...bin("switch-agent"), "run", "--config", path];
  const program = start(rig, "bridge", "switch-agent", words);
  try {
    await until("switch-agent", () => /NVA connected/.test(program.log()));
  } catch (error) {
    await program.stop();
    throw new Error(program.log().slice(-2000), { cause: error });
  }
  return { ...program, socket };
}

/** With BENCH_PROFILE=<folder> each program leaves a CPU profile there. */
export function profiled([program, ...words]) {
  if (process.env.BENCH_PROFILE === undefined) return [program, ...words];
  return [process.execPath, "--import", file("./profile.mjs"), program, ...words];
}

const file = (path) => fileURLToPath(new URL(path, import.meta.url));
const bin = (name) => profiled([file(`../../../${name}/bin/${name}.js`)]);

/** What a process has used of the processors, all its threads together, milliseconds. Other load does not count. */
export function cpuMs({ child }) {
  const tasks = `/proc/${child.pid}/task`;
  const ns = readdirSync(tasks).map((task) => readFileSync(`${tasks}/${task}/schedstat`, "utf8"));
  return ns.reduce((sum, line) => sum + Number(line.split(" ")[0]), 0) / 1e6;
}

export async function run({ lab }, node, ...command) {
  const { code, stdout, stderr } = await execIn(lab, node, command);
  if (code !== 0) throw new Error(`${node}: ${command.join(" ")}: ${stderr}`);
  return stdout;
}

export async function until(what, probe, timeoutMs = 10_000) {
  const deadline = performance.now() + timeoutMs;
  while (!(await probe())) {
    if (performance.now() > deadline) throw new Error(`not within ${timeoutMs} ms: ${what}`);
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
}
