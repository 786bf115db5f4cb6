import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { systemClock } from "@nve/linux/clock";
import { NvaConfig } from "@nve/nva/config";
import { type Nva, startNva } from "@nve/nva/nva";
import { call, connect, createLog } from "@nve/program";
import { CreateVnRequest, NorthboundClient } from "@nve/protocol-spec/proto/northbound";
import { afterAll, afterEach, beforeAll, describe, expect, test } from "vitest";
import { type EtcdCluster, etcdCluster, freePorts, hasEtcd } from "../support/etcd.ts";
import { until } from "../support/lab.ts";

describe.skipIf(!hasEtcd)("NVAs over one etcd cluster", () => {
  let etcd: EtcdCluster;
  let made = 0;
  const running: (() => Promise<void>)[] = [];
  beforeAll(async () => {
    etcd = await etcdCluster();
  });
  afterAll(() => etcd.stop());
  afterEach(async () => {
    await Promise.all(running.splice(0).map((stop) => stop()));
  });

  /** Replicas of one NVA, and a client of each. */
  async function replicas(count: number) {
    made += 1;
    const folder = mkdtempSync(join(tmpdir(), "nva-replicas-"));
    const ports = await freePorts(count);
    const start = async (n: number): Promise<Nva> => {
      const address = `127.0.0.1:${ports[n]}`;
      const config = NvaConfig.parse({
        id: `nva${n}`,
        listen: { address, insecure: true },
        advertise: address,
        socket: `unix:${join(folder, `${n}.sock`)}`,
        store: { use: "etcd", endpoints: etcd.endpoints, prefix: `/replicas/${made}` },
      });
      return startNva(config, systemClock, createLog(`nva${n}`, "warn"));
    };
    const nvas = await Promise.all(ports.map((_, n) => start(n)));
    const clients = ports.map((port) => connect(NorthboundClient, `127.0.0.1:${port}`));
    running.push(async () => {
      for (const client of clients) client.close();
      await Promise.all(nvas.map((nva) => nva.stop()));
      rmSync(folder, { recursive: true });
    });
    return { nvas, clients, start };
  }

  const create = (client: NorthboundClient | undefined, alias: string) => {
    if (client === undefined) throw new Error("no such client");
    return call(client, client.createVn, CreateVnRequest.create({ alias }), 2_000);
  };

  test("A14: each of them serves everybody, with consistent answers", async () => {
    const { clients } = await replicas(3);
    await until("one of them to decide", () =>
      create(clients[0], "first").then(
        () => true as const,
        () => undefined,
      ),
    );
    for (const [n, client] of clients.entries()) {
      const vn = await create(client, `vn${n}`);
      expect(vn.alias).toBe(`vn${n}`);
    }
    for (const client of clients) {
      const { vns } = await call(client, client.listVns, { pageSize: 0, pageToken: "" });
      expect(vns.map(({ alias }) => alias)).toEqual(["first", "vn0", "vn1", "vn2"]);
    }
    await expect(create(clients[1], "vn2")).rejects.toThrow(/has a VN "vn2" already/);
  });
});
