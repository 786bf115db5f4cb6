import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { systemClock } from "@nve/linux/clock";
import { NvaConfig } from "@nve/nva/config";
import { type Nva, startNva } from "@nve/nva/nva";
import { EtcdClient } from "@nve/nva/store/etcd/client";
import { Keys } from "@nve/nva/store/etcd/keys";
import { call, connect, type Log } from "@nve/program";
import {
  CreateVnRequest,
  ListClaimsRequest,
  NorthboundClient,
} from "@nve/protocol-spec/proto/northbound";
import { NveClient } from "@nve/protocol-spec/proto/nve";
import { describe, expect, onTestFinished, test } from "vitest";
import { claim, session } from "../sim/nva/rig.ts";
import { etcdCluster, freePorts, hasEtcd } from "../support/etcd.ts";
import { until } from "../support/lab.ts";

type Line = { message: string; since?: number; undone?: number };

/** A log that a test reads. */
function listening(lines: Line[]): Log {
  const hear = (said: object, message: string): void => void lines.push({ ...said, message });
  const none = (): void => {};
  return { info: hear, warn: hear, error: hear, debug: none, trace: none } as unknown as Log;
}

describe.skipIf(!hasEtcd)("a replica of the NVA that decided and does so no more", () => {
  test("A14: goes on from what it has: it reads what changed, decides again, and nothing acknowledged is lost", async () => {
    const etcd = await etcdCluster();
    onTestFinished(() => etcd.stop());
    const folder = mkdtempSync(join(tmpdir(), "nva-follows-"));
    onTestFinished(() => rmSync(folder, { recursive: true }));
    const prefix = "/follows";
    const client = new EtcdClient(etcd.endpoints, systemClock);
    onTestFinished(() => client.close());
    const { writer } = new Keys(prefix);
    const depose = () => client.insist(() => client.txn([], [{ delete: { key: writer } }]));
    const [port] = await freePorts(1);
    const address = `127.0.0.1:${port}`;
    const config = NvaConfig.parse({
      id: "nva0",
      listen: { address, insecure: true },
      advertise: address,
      socket: `unix:${join(folder, "nva.sock")}`,
      store: { use: "etcd", endpoints: etcd.endpoints, insecure: true, prefix },
    });
    const lines: Line[] = [];
    const nva: Nva = await startNva(config, systemClock, listening(lines));
    onTestFinished(() => nva.stop());
    const times = (message: string): number =>
      lines.filter((line) => line.message === message).length;
    const decides = (count: number) =>
      until(
        `it to decide the ${count}. time`,
        () => times("this replica decides") >= count || undefined,
        30_000,
      );
    const northbound = connect(NorthboundClient, address);
    const nve = connect(NveClient, address);
    onTestFinished(() => {
      northbound.close();
      nve.close();
    });
    const create = (alias: string) =>
      call(northbound, northbound.createVn, CreateVnRequest.create({ alias }), 5_000);
    const present = async () => {
      const { vns } = await call(northbound, northbound.listVns, { pageSize: 1000, pageToken: "" });
      const page = ListClaimsRequest.create({ pageSize: 1000 });
      const { claims } = await call(northbound, northbound.listClaims, page);
      return {
        vns: vns.map(({ alias }) => alias).sort(),
        macs: claims.map((one) => one.claim?.mac.toString("hex") ?? "").sort(),
      };
    };
    await decides(1);
    await until("its VN", () => create("blue").catch(() => undefined), 30_000);
    const tor1 = session(nve.connect());
    tor1.hello("tor1", "10.0.1.11");
    await tor1.inbox.next(({ message }) => message?.$case === "welcome");
    await tor1.told({ claims: [claim(1), claim(2), claim(3)], joinedVns: [1], complete: true });
    const known = await present();
    expect(known.macs).toHaveLength(3);

    // Again and again, while clients go on: what they are told stands, whatever was under way.
    const acknowledged = ["blue"];
    for (let time = 1; time <= 5; time++) {
      const rivals = Array.from({ length: 20 }, (_, n) => `vn${time}-${n}`);
      const made = rivals.map((alias) =>
        create(alias).then(
          () => acknowledged.push(alias),
          () => undefined, // nobody knows
        ),
      );
      await until("one of them to be there", () => acknowledged.length > 1 || undefined);
      const before = times("this replica decides");
      await depose();
      await decides(before + 1);
      await Promise.all(made);
      // It may be deposed once more, by what a busy machine does to its lease.
      const now = await until("it to answer", () => present().catch(() => undefined), 30_000);
      expect(now.macs).toEqual(known.macs);
      expect(now.vns).toEqual(expect.arrayContaining(acknowledged));
    }
    const followed = lines.filter(({ message }) => message === "follows on from what it has");
    expect(followed.length).toBeGreaterThanOrEqual(5);
    for (const { since = 0 } of followed) expect(since).toBeGreaterThan(0);

    // All of it is what another one reads.
    const before = await until("it to answer", () => present().catch(() => undefined), 30_000);
    await nva.stop();
    const next = await startNva(config, systemClock, listening([]));
    onTestFinished(() => next.stop());
    const after = await until(
      "the next one to decide",
      () => present().catch(() => undefined),
      30_000,
    );
    expect(after).toEqual(before);
  }, 120_000);
});
