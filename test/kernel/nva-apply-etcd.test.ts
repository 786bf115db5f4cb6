import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { systemClock } from "@nve/linux/clock";
import { NvaConfig } from "@nve/nva/config";
import { startNva } from "@nve/nva/nva";
import { etcdStore } from "@nve/nva/store/etcd/store";
import type { Table } from "@nve/nva/store/store";
import { call, connect, createLog } from "@nve/program";
import {
  ApplyRequest,
  Kind,
  NorthboundClient,
  type Resource,
  VnSpec,
} from "@nve/protocol-spec/proto/northbound";
import { expect, test } from "vitest";
import { etcdCluster, freePorts, hasEtcd } from "../support/etcd.ts";
import { until } from "../support/lab.ts";

const count = 4_000;
const prefix = "/apply";

/** VNs with so much text that no transaction of etcd (128 operations, 1.5 MiB) holds all of them. */
const vns = (mtu: number): Resource[] =>
  Array.from({ length: count }, (_, n) => {
    const alias = `vn${n}`;
    const value = VnSpec.create({ alias, vnId: n + 1, mtu, description: "x".repeat(500) });
    return {
      key: { kind: Kind.KIND_VN, key: `default/${alias}` },
      revision: 0n,
      note: "",
      of: { $case: "vn" as const, value },
    };
  });

test.skipIf(!hasEtcd)(
  `A13: ${count} things applied over etcd are one commit, or none of them is there; who decides stays so meanwhile`,
  async () => {
    const etcd = await etcdCluster();
    const folder = mkdtempSync(join(tmpdir(), "nva-apply-etcd-"));
    const [port] = await freePorts(1);
    const address = `127.0.0.1:${port}`;
    const socket = `unix:${join(folder, "nva.sock")}`;
    const { endpoints } = etcd;
    const config = NvaConfig.parse({
      listen: { address, insecure: true },
      advertise: address,
      socket,
      store: { use: "etcd", endpoints, insecure: true, prefix },
    });
    const nva = await startNva(config, systemClock, createLog("nva", "silent"));
    const client = connect(NorthboundClient, socket);
    const status = () => call(client, client.status, {}, 2_000).catch(() => undefined);
    /** As another replica finds them. */
    const stored = async (table: Table): Promise<Set<number>> => {
      const store = await etcdStore({ endpoints, prefix, clock: systemClock });
      const revisions: number[] = [];
      for await (const { revision } of store.list(table)) revisions.push(revision);
      await store.close();
      expect([0, count]).toContain(revisions.length);
      return new Set(revisions);
    };
    const apply = (resources: readonly Resource[]) =>
      call(client, client.apply, ApplyRequest.create({ resources: [...resources] }), 30_000);
    try {
      const before = await until("it to decide", status, 10_000);
      const [first, ...others] = vns(1_400);
      if (first?.of?.$case !== "vn") throw new Error("no VN");
      first.of.value.vnId = 2; // another has it
      await expect(apply([...others, first])).rejects.toThrow("VN ID 2");
      expect(await stored("vn")).toEqual(new Set());

      for (const mtu of [1_400, 1_500]) {
        const { changes, revision } = await apply(vns(mtu));
        expect(changes.length).toBe(count);
        expect(await stored("vn")).toEqual(new Set([Number(revision)]));
      }
      expect((await status())?.startedUnixMs).toBe(before.startedUnixMs);
    } finally {
      client.close();
      await nva.stop();
      await etcd.stop();
      rmSync(folder, { recursive: true });
    }
  },
  60_000,
);
