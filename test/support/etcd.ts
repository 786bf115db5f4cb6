import { type ChildProcess, spawn } from "node:child_process";
import { existsSync, mkdtempSync, rmSync } from "node:fs";
import { get } from "node:http";
import { createServer } from "node:net";
import { delimiter, join } from "node:path";
import { systemClock } from "@nve/linux/clock";
import { EtcdClient } from "@nve/nva/store/etcd/client";
import { readTls, type TlsFiles } from "@nve/program/tls-files";
import { until } from "./lab.ts";

/** Whether the tests with etcd can run here: `npm run setup` installs it. */
const { PATH = "" } = process.env;
export const hasEtcd = PATH.split(delimiter).some((folder) => existsSync(join(folder, "etcd")));

export type EtcdCluster = {
  endpoints: readonly string[];
  /** One that answers no more, whatever the signal; SIGCONT brings one back from SIGSTOP. */
  signal(member: number, signal: NodeJS.Signals): Promise<void>;
  /** Starts one again that was killed, with what it has on its disk. */
  start(member: number): Promise<void>;
  /** Which of them leads. */
  leader(): Promise<number>;
  stop(): Promise<void>;
};

/** How quick the members are to miss their leader, milliseconds. */
const quick = { heartbeatMs: 50, electionMs: 300 };
/** As etcd has it by itself: on a busy machine members that are quick do nothing but elect. */
export const patient = { heartbeatMs: 100, electionMs: 1000 };

/**
 * An etcd cluster on free ports of this machine, its data in memory.
 * @param tls its certificate, and one of ours: clients then have to show theirs
 */
export async function etcdCluster(
  members = 1,
  tls?: { member: TlsFiles; client: TlsFiles },
  { heartbeatMs, electionMs } = quick,
): Promise<EtcdCluster> {
  const folder = mkdtempSync("/dev/shm/etcd-");
  const ports = await freePorts(2 * members);
  const client = (i: number): string => `127.0.0.1:${ports[2 * i]}`;
  const peer = (i: number): string => `http://127.0.0.1:${ports[2 * i + 1]}`;
  const all = Array.from({ length: members }, (_, i) => i);
  const processes: (ChildProcess | undefined)[] = [];

  const url = (i: number): string => `${tls === undefined ? "http" : "https"}://${client(i)}`;
  const shown = tls && { current: readTls(tls.client) };
  const words = (i: number): string[] => [
    ...["--name", `n${i}`, "--data-dir", join(folder, `n${i}`)],
    ...["--listen-client-urls", url(i), "--advertise-client-urls", url(i)],
    ...(tls === undefined
      ? []
      : ["--cert-file", tls.member.certificate, "--key-file", tls.member.key]),
    ...(tls === undefined ? [] : ["--client-cert-auth", "--trusted-ca-file", tls.member.ca]),
    ...["--listen-peer-urls", peer(i), "--initial-advertise-peer-urls", peer(i)],
    ...["--initial-cluster", all.map((one) => `n${one}=${peer(one)}`).join(",")],
    ...["--initial-cluster-token", folder, "--heartbeat-interval", `${heartbeatMs}`],
    ...["--election-timeout", `${electionMs}`, "--logger", "zap", "--log-level", "error"],
  ];
  const start = async (i: number): Promise<void> => {
    processes[i] = spawn("etcd", words(i), { stdio: "ignore" });
  };
  const answers = async (i: number): Promise<true | undefined> => {
    const one = new EtcdClient([client(i)], systemClock, shown);
    try {
      await one.range({ key: Buffer.from("a") }, 1_000);
      return true;
    } catch {
      return undefined;
    } finally {
      one.close();
    }
  };
  const signal = async (i: number, name: NodeJS.Signals): Promise<void> => {
    const child = processes[i];
    if (child === undefined || child.exitCode !== null) return;
    const gone =
      name === "SIGKILL"
        ? new Promise((resolve) => child.once("exit", resolve))
        : Promise.resolve();
    child.kill(name);
    await gone;
  };
  const stop = async (): Promise<void> => {
    await Promise.all(all.map((i) => signal(i, "SIGKILL")));
    rmSync(folder, { recursive: true, force: true });
  };

  try {
    await Promise.all(all.map(start));
    for (const i of all) await until(`etcd member ${i} to answer`, () => answers(i), 20_000);
  } catch (error) {
    await stop();
    throw error;
  }
  return {
    endpoints: all.map(client),
    signal,
    start,
    leader: () => leaderOf(all.map(client)),
    stop,
  };
}

/** By what each of them says on its metrics page. */
async function leaderOf(endpoints: readonly string[]): Promise<number> {
  for (const [i, endpoint] of endpoints.entries())
    if (/^etcd_server_is_leader 1$/m.test(await pageOf(`http://${endpoint}/metrics`))) return i;
  throw new Error("no member of the etcd cluster leads");
}

/** What there is within a second. Not by `fetch`: what waits for its answer is held by nobody, and may never go on. */
function pageOf(url: string): Promise<string> {
  return new Promise((resolve) => {
    let text = "";
    const request = get(url, { agent: false }, (response) => {
      response.setEncoding("utf8");
      response.on("data", (part) => {
        text += part;
      });
      response.on("close", () => resolve(text));
    });
    const late = setTimeout(() => request.destroy(), 1_000);
    request.on("error", () => resolve(""));
    request.on("close", () => clearTimeout(late));
  });
}

/** TCP ports of this machine that nobody listens at. */
export async function freePorts(count: number): Promise<number[]> {
  const servers = Array.from({ length: count }, () => createServer());
  const ports = await Promise.all(
    servers.map(
      (server) =>
        new Promise<number>((resolve, reject) => {
          server.once("error", reject);
          server.listen(0, "127.0.0.1", () => {
            const address = server.address();
            resolve(typeof address === "object" && address !== null ? address.port : 0);
          });
        }),
    ),
  );
  await Promise.all(servers.map((server) => new Promise((resolve) => server.close(resolve))));
  return ports;
}
