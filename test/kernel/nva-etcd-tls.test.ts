import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { systemClock } from "@nve/linux/clock";
import { NvaConfig } from "@nve/nva/config";
import { type Nva, startNva } from "@nve/nva/nva";
import { EtcdClient } from "@nve/nva/store/etcd/client";
import { methods } from "@nve/nva/store/etcd/messages";
import { call, connect, createLog, Refused } from "@nve/program";
import { readTls, type TlsFiles } from "@nve/program/tls-files";
import { IpAddress } from "@nve/protocol-spec";
import { CreateVnRequest, NorthboundClient } from "@nve/protocol-spec/proto/northbound";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { certificates, clientSubject, nvaSubject } from "../support/certificates.ts";
import { type EtcdCluster, etcdCluster, freePorts, hasEtcd } from "../support/etcd.ts";
import { until } from "../support/lab.ts";

describe.skipIf(!hasEtcd)("with an etcd that wants certificates", () => {
  const folder = mkdtempSync(join(tmpdir(), "nva-etcd-tls-"));
  const made = certificates();
  const ca = made.ca();
  const ips = [IpAddress("127.0.0.1")];
  const member = ca.files({ is: "etcd", id: "n0", ips, dns: [] });
  const own = ca.files(nvaSubject);
  const nvas: Nva[] = [];
  let etcd: EtcdCluster;
  beforeAll(async () => {
    etcd = await etcdCluster(1, { member, client: own });
  });
  afterAll(async () => {
    for (const nva of nvas) await nva.stop();
    await etcd.stop();
    made.remove();
    rmSync(folder, { recursive: true });
  });

  const ask = async (shown: TlsFiles | undefined) => {
    const tls = shown && { current: readTls(shown) };
    const client = new EtcdClient(etcd.endpoints, systemClock, tls);
    try {
      return await client.call(methods.range, { key: Buffer.from("a") }, 2_000);
    } finally {
      client.close();
    }
  };

  test("whoever shows no certificate of its CA, or expects another CA's, gets no answer", async () => {
    await expect(ask(own)).resolves.toMatchObject({ kvs: [] });
    await expect(ask(undefined)).rejects.toThrow(/etcd at 127.0.0.1/);
    await expect(ask(made.ca().files(nvaSubject))).rejects.toThrow(/of no CA that is trusted here/);
  }, 60_000);

  test("A14: two replicas over it with TLS on every way: what one of them is told, the other knows; each call with its own rights", async () => {
    const ports = await freePorts(2);
    for (const [i, port] of ports.entries()) {
      const config = NvaConfig.parse({
        id: `nva-${i}`,
        socket: `unix:${folder}/${i}.sock`,
        listen: { address: `127.0.0.1:${port}`, tls: ca.files(nvaSubject) },
        advertise: `127.0.0.1:${port}`,
        store: { use: "etcd", endpoints: etcd.endpoints, tls: own },
      });
      nvas.push(await startNva(config, systemClock, createLog(`nva-${i}`, "silent")));
    }
    const clients = (role: "viewer" | "admin") =>
      ports.map((port) => {
        const shown = { current: readTls(ca.files(clientSubject(role, role))) };
        return connect(NorthboundClient, `127.0.0.1:${port}`, shown);
      });
    const [viewers, admins] = [clients("viewer"), clients("admin")];
    try {
      for (const [i, admin] of admins.entries()) {
        const vn = CreateVnRequest.create({ alias: `blue${i}` });
        await until(
          `replica ${i} to answer`,
          async () => (await call(admin, admin.createVn, vn).catch(() => undefined)) && true,
          20_000,
        );
      }
      for (const viewer of viewers) {
        const { vns } = await call(viewer, viewer.listVns, { pageSize: 0, pageToken: "" });
        expect(vns.map(({ alias }) => alias)).toEqual(["blue0", "blue1"]);
        const vn = CreateVnRequest.create({ alias: "red" });
        await expect(call(viewer, viewer.createVn, vn)).rejects.toThrow(/has the role viewer/);
      }
    } finally {
      for (const client of [...viewers, ...admins]) client.close();
    }
  }, 60_000);

  test("a file that cannot be used is named before anything is begun", async () => {
    const config = NvaConfig.parse({
      listen: { address: "127.0.0.1:0", insecure: true },
      advertise: "127.0.0.1:1",
      store: { use: "etcd", endpoints: etcd.endpoints, tls: { ...own, ca: "/nowhere" } },
    });
    await expect(startNva(config, systemClock, createLog("x", "silent"))).rejects.toThrow(Refused);
  });
});
