// What the parts of the bench have in common: an NVA in a process of its own, and NVEs that are this process.
import { spawn } from "node:child_process";
import { once } from "node:events";
import { closeSync, mkdtempSync, openSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { answers } from "@nve/program/answers";
import { call, connect } from "@nve/program/rpc";
import { CreateVnRequest, NorthboundClient } from "@nve/protocol-spec/proto/northbound";
import { NveClient, NveMessage, Report } from "@nve/protocol-spec/proto/nve";
import { Claim } from "@nve/protocol-spec/proto/types";
import { etcdCluster } from "./etcd.mjs";

export const file = (path) => fileURLToPath(new URL(path, import.meta.url));
export const after = (ms) => new Promise((resolve) => setTimeout(resolve, ms));
export const unixMs = () => performance.timeOrigin + performance.now();

/** Runs `work` with an NVA of its own and takes it down, however that ends. */
export async function withNva(use, work, { host = "127.0.0.1", spawnWith = [], more = {} } = {}) {
  const folder = mkdtempSync(join(tmpdir(), "bench-nva-"));
  const socket = join(folder, "nva.sock");
  const address = `${host}:${await freePort()}`;
  const etcd = use === "etcd" ? await etcdCluster(join(folder, "etcd")) : undefined;
  const store = {
    use,
    ...(use === "lmdb" && { path: join(folder, "store") }),
    ...(use === "etcd" && { endpoints: etcd.endpoints, insecure: true }),
  };
  const config = join(folder, "nva.yaml");
  const listen = { address, insecure: true };
  writeFileSync(
    config,
    JSON.stringify({
      socket: `unix:${socket}`,
      listen,
      store,
      log: "warn",
      ...(etcd && { advertise: address }),
      ...more,
    }),
  );
  const nva = program(folder, "nva", [...spawnWith, ...bin("nva"), "run", "--config", config]);
  try {
    await until("the NVA", () => nva.alive() && answers(socket), 15_000).catch((error) => {
      throw new Error(`${error.message}: ${nva.log()}`);
    });
    const northbound = connect(NorthboundClient, `unix:${socket}`);
    try {
      return await work({ ...nva, etcd, folder, address, socket: `unix:${socket}`, northbound });
    } finally {
      northbound.close();
    }
  } finally {
    await nva.stop();
    await etcd?.stop();
    rmSync(folder, { recursive: true, force: true });
  }
}

/** A program that logs into a file of the folder. */
export function program(folder, name, [command, ...words], options = {}) {
  const path = join(folder, `${name}.log`);
  const log = openSync(path, "a");
  const child = spawn(command, words, { stdio: ["ignore", log, log], ...options });
  closeSync(log);
  const ended = once(child, "exit");
  const alive = () => child.exitCode === null && child.signalCode === null;
  const stop = async () => {
    if (alive()) child.kill("SIGTERM");
    const late = setTimeout(() => child.kill("SIGKILL"), 10_000);
    await ended;
    clearTimeout(late);
  };
  const kill = () => child.kill("SIGKILL");
  process.once("exit", kill);
  child.once("exit", () => process.off("exit", kill));
  return { child, stop, alive, log: () => readFileSync(path, "utf8").slice(-2000) };
}

/** With what its first line gives to Node. With BENCH_PROFILE=<folder> each program leaves a CPU profile there. */
export function bin(name) {
  const path = file(`../../../${name}/bin/${name}.js`);
  const [first = ""] = readFileSync(path, "utf8").split("\n");
  const flags = first.split(" ").filter((word) => word.startsWith("--"));
  const profile =
    process.env.BENCH_PROFILE === undefined ? [] : ["--import", file("../vdp/profile.mjs")];
  return [process.execPath, ...flags, ...profile, path];
}

export async function createVns({ northbound }, count, first = 1) {
  const decides = () =>
    call(northbound, northbound.status, {}).then(
      () => true,
      () => false,
    );
  await until("an NVA to decide", decides);
  for (let vnId = first; vnId < first + count; vnId++)
    await call(
      northbound,
      northbound.createVn,
      CreateVnRequest.create({ alias: `vn${vnId}`, vnId, vni: 10_000 + vnId }),
    );
}

/** Resident memory of a process, octets: all of it, or a part as proc(5) calls it. */
export function rss({ child }, part = "VmRSS") {
  const status = readFileSync(`/proc/${child.pid}/status`, "utf8");
  return 1024 * Number(new RegExp(`${part}:\\s+(\\d+)`).exec(status)?.[1] ?? 0);
}

/** Processor time of a process, all threads, milliseconds. */
export function cpuMs({ child }) {
  const text = readFileSync(`/proc/${child.pid}/stat`, "utf8");
  const fields = text.slice(text.lastIndexOf(")") + 2).split(" ");
  return (Number(fields[11]) + Number(fields[12])) * 10; // ticks of 10 ms (getconf CLK_TCK)
}

export const macOf = (n) =>
  Buffer.from([2, 0, (n >> 24) & 255, (n >> 16) & 255, (n >> 8) & 255, n & 255]);
/** Of so many MACs one VNIC each; an NVA notes the first claim of a VNIC as its attachment. */
export const claimOf = (vnId, n, macsPerVnic = 1) =>
  Claim.create({
    vnId,
    mac: macOf(n),
    ips: [Buffer.from([10, (n >> 16) & 255, (n >> 8) & 255, n & 255])],
    vnic: Buffer.concat([Buffer.alloc(10, 7), macOf(Math.floor(n / macsPerVnic))]),
    hypervisor: "server1",
    port: "swp1",
  });

/** The session of an NVE. `report` resolves with its ack; at most `window` reports are on their way. */
export async function nveSession(address, id, vtep, window = 4) {
  const client = connect(NveClient, address);
  const stream = client.connect();
  const send = ($case, value) => stream.write(NveMessage.create({ message: { $case, value } }));
  const acks = new Map();
  let serial = 0n;
  let welcome = () => {};
  let room = () => {};
  let ended;
  const welcomed = new Promise((resolve, reject) => {
    welcome = resolve;
    stream.on("error", (error) => {
      ended = error;
      reject(error);
      for (const { fail } of acks.values()) fail(error);
      room();
    });
  });
  stream.on("data", ({ message }) => {
    if (message?.$case === "welcome") welcome();
    if (message?.$case !== "ack") return;
    const { serial: number, refused } = message.value;
    const { done, fail } = acks.get(number) ?? {};
    acks.delete(number);
    if (refused.length > 0) fail?.(new Error(`claim refused: ${refused[0].reason}`));
    else done?.(message.value);
    room();
  });
  const alive = setInterval(() => send("alive", {}), 1000);
  const location = {
    nveId: id,
    vteps: [Buffer.from(vtep.split(".").map(Number))],
    encapsulations: [1],
  };
  send("hello", { versionMin: 1, versionMax: 1, location, incarnation: Buffer.alloc(16, 1) });
  const close = () => {
    clearInterval(alive);
    stream.cancel();
    client.close();
  };
  await welcomed.catch((error) => {
    close();
    throw error;
  });
  return {
    async report(said) {
      while (acks.size >= window && ended === undefined)
        await new Promise((resolve) => {
          room = resolve;
        });
      if (ended !== undefined) throw ended;
      serial += 1n;
      const number = serial;
      send("report", Report.create({ serial: number, ...said }));
      const ack = new Promise((done, fail) => acks.set(number, { done, fail }));
      ack.catch(() => {});
      return { ack };
    },
    close,
  };
}

/** Claims `count` addresses from `first` on, in VNs 1 … `vns`, in reports of `batch`. */
export async function claimAll(
  session,
  { count, first = 0, vns = 1, batch = 1000, macsPerVnic = 1 },
) {
  const acks = [];
  const joinedVns = Array.from({ length: vns }, (_, n) => 1 + n);
  acks.push((await session.report({ joinedVns })).ack);
  for (let from = 0; from < count; from += batch) {
    const claims = Array.from({ length: Math.min(batch, count - from) }, (_, i) =>
      claimOf(1 + (Math.floor((from + i) / macsPerVnic) % vns), first + from + i, macsPerVnic),
    );
    acks.push((await session.report({ claims })).ack);
  }
  return Promise.all(acks);
}

export async function until(what, probe, timeoutMs = 20_000, everyMs = 20) {
  const deadline = performance.now() + timeoutMs;
  while (!(await probe())) {
    if (performance.now() > deadline) throw new Error(`not within ${timeoutMs} ms: ${what}`);
    await after(everyMs);
  }
}

export function quantiles(values) {
  const sorted = [...values].sort((a, b) => a - b);
  const at = (q) => round(sorted[Math.min(sorted.length - 1, Math.floor(q * sorted.length))]);
  return { p50Ms: at(0.5), p99Ms: at(0.99), maxMs: at(1) };
}

export const round = (n, digits = 1) => (n === undefined ? undefined : Number(n.toFixed(digits)));

export function freePort() {
  return new Promise((resolve, reject) => {
    const server = createServer();
    server.once("error", reject);
    server.listen(0, "127.0.0.1", () => {
      const { port } = server.address();
      server.close(() => resolve(port));
    });
  });
}
