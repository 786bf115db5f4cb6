import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { call, connect } from "@nve/program/rpc";
import { NorthboundClient } from "@nve/protocol-spec/proto/northbound";
import { type EtcdCluster, etcdCluster, freePorts, patient } from "../support/etcd.ts";
import type { Authorities, Fault } from "./authorities.ts";
import { type CutCable, cutCable } from "./cut-cable.ts";
import { after, bundleNva, type NvaProcess, nvaProcess } from "./one-nva.ts";
import type { Random } from "./random.ts";

const replicas = 3;
/** So long it may take on a busy machine until somebody decides. */
const decidesMs = 180_000;

/** Three replicas over three members of etcd, which all are killed, paused and partitioned. */
export async function etcdNvas(): Promise<Authorities> {
  const folder = mkdtempSync(join(tmpdir(), "model-"));
  const program = await bundleNva();
  const etcd = await etcdCluster(3, undefined, patient);
  const cables = await Promise.all(
    Array.from({ length: replicas }, () => Promise.all(etcd.endpoints.map(cutCable))),
  );
  const ports = await freePorts(replicas);
  const nvas = ports.map((port, n) => {
    const address = `127.0.0.1:${port}`;
    const endpoints = cables[n]?.map((cable) => cable.address);
    const listen = { address, insecure: true };
    const more = { listen, advertise: address };
    return nvaProcess(
      folder,
      program.path,
      `nva${n}`,
      { use: "etcd", endpoints, insecure: true },
      more,
    );
  });
  const addresses = ports.map((port) => `127.0.0.1:${port}`);
  const stop = async (): Promise<void> => {
    await Promise.all(nvas.map((nva) => nva.stop("SIGKILL")));
    await Promise.all(cables.flat().map((cable) => cable.close()));
    await etcd.stop();
    rmSync(folder, { recursive: true });
    program.remove();
  };
  try {
    await Promise.all(nvas.map((nva) => nva.start()));
    await somebodyDecides(addresses);
  } catch (error) {
    await stop();
    throw error;
  }
  return {
    store: "etcd",
    faults: [...faultsOfNvas(nvas), ...faultsOfEtcd(etcd), ...partitions(cables)],
    addresses: () => addresses,
    heal: () => somebodyDecides(addresses),
    logs: () => nvas.map((nva) => nva.lastLines(200_000)).join("\n"),
    stop,
  };
}

/** One at least, and then for up to 3 s. */
const soon = (random: Random): Promise<void> => after(100 + random.below(3000));

function faultsOfNvas(nvas: readonly NvaProcess[]): Fault[] {
  const restart = (signal: "SIGKILL" | "SIGTERM") => async (random: Random) => {
    const nva = random.pick(nvas);
    await nva.stop(signal);
    await soon(random);
    await nva.start();
  };
  return [
    { name: "kill -9 of an NVA", weight: 4, strike: restart("SIGKILL") },
    { name: "stop of an NVA", weight: 1, strike: restart("SIGTERM") },
    {
      name: "pause of an NVA",
      weight: 4,
      strike: (random) => random.pick(nvas).pause(100 + random.below(4000)),
    },
  ];
}

function faultsOfEtcd(etcd: EtcdCluster): Fault[] {
  const some = async (random: Random): Promise<number> =>
    random.chance(0.5) ? etcd.leader().catch(() => 0) : random.below(etcd.endpoints.length);
  return [
    {
      name: "kill -9 of an etcd member",
      weight: 2,
      strike: async (random) => {
        const member = await some(random);
        await etcd.signal(member, "SIGKILL");
        await soon(random);
        await etcd.start(member);
      },
    },
    {
      name: "pause of an etcd member",
      weight: 2,
      strike: async (random) => {
        const member = await some(random);
        await etcd.signal(member, "SIGSTOP");
        await soon(random);
        await etcd.signal(member, "SIGCONT");
      },
    },
  ];
}

/** An NVA that reaches none, or one, of the members no more. */
function partitions(cables: readonly (readonly CutCable[])[]): Fault[] {
  const strike = async (random: Random): Promise<void> => {
    const all = random.pick(cables);
    const cut = random.chance(0.5) ? all : [random.pick(all)];
    for (const cable of cut) cable.cut();
    await soon(random);
    for (const cable of cut) cable.mend();
  };
  return [{ name: "partition between an NVA and etcd", weight: 3, strike }];
}

/** Resolves when every replica answers, by itself or through the one that decides. */
async function somebodyDecides(addresses: readonly string[]): Promise<void> {
  for (const address of addresses) {
    const client = connect(NorthboundClient, address);
    try {
      const end = performance.now() + decidesMs;
      while (
        !(await call(client, client.status, {}, 1000).then(
          () => true,
          () => false,
        ))
      ) {
        if (performance.now() > end)
          throw new Error(`${address}: nobody decides within ${decidesMs / 1000} s`);
        await after(50);
      }
    } finally {
      client.close();
    }
  }
}
