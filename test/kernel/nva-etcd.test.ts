import { once } from "node:events";
import { createServer } from "node:http2";
import type { AddressInfo } from "node:net";
import { systemClock } from "@nve/linux/clock";
import { EtcdClient } from "@nve/nva/store/etcd/client";
import { Keys, type Meta, partOctets } from "@nve/nva/store/etcd/keys";
import { afterPrefix, methods } from "@nve/nva/store/etcd/messages";
import { type EtcdStore, etcdStore } from "@nve/nva/store/etcd/store";
import { Writer } from "@nve/nva/store/etcd/writer";
import type { Batch, Store } from "@nve/nva/store/store";
import { Refused } from "@nve/program";
import { afterAll, afterEach, beforeAll, describe, expect, test } from "vitest";
import { all, put, storeContract } from "../contracts/store.ts";
import { type EtcdCluster, etcdCluster, hasEtcd } from "../support/etcd.ts";
import { until } from "../support/lab.ts";

describe.skipIf(!hasEtcd)("with an etcd", () => {
  let etcd: EtcdCluster;
  let made = 0;
  const stores: Store[] = [];
  beforeAll(async () => {
    etcd = await etcdCluster();
  });
  afterAll(() => etcd.stop());

  async function opened(prefix: string, keep?: number): Promise<EtcdStore> {
    const { endpoints } = etcd;
    const options = { endpoints, prefix, clock: systemClock, ...(keep !== undefined && { keep }) };
    const store = await etcdStore(options);
    stores.push(store);
    return store;
  }
  const fresh = (keep?: number): Promise<EtcdStore> => {
    made += 1;
    return opened(`/test/${made}`, keep);
  };
  const clear = async (): Promise<void> => {
    for (const store of stores.splice(0)) await store.close();
  };

  storeContract("etcd", { make: fresh, clear });
  afterEach(clear);

  const keysOf = (): Keys => new Keys(`/test/${made}`);
  const rows = (count: number, value: string) =>
    Array.from({ length: count }, (_, i) => put(String(i).padStart(6, "0"), value));
  /** An etcd client of the test's own. */
  const asked = async <T>(question: (client: EtcdClient) => Promise<T>): Promise<T> => {
    const client = new EtcdClient(etcd.endpoints, systemClock);
    try {
      return await question(client);
    } finally {
      client.close();
    }
  };
  /** The writer's key, as an election makes it. @returns its reign */
  const crown = (name: string): Promise<bigint> =>
    asked(async (client) => {
      const key = keysOf().writer;
      await client.txn([], [{ delete: { key } }]);
      const put = await client.txn([], [{ put: { key, value: Buffer.from(name) } }]);
      return put.header?.revision ?? 0n;
    });

  test("what one has committed another hears of, once and in order", async () => {
    const one = await fresh();
    const other = await opened(`/test/${made}`);
    const seen: Batch[] = [];
    await other.watch(0, (batch) => seen.push(batch));
    for (const value of ["1", "2", "3"]) await one.commit([put("a", value)]);
    await until("all to be heard", () => other.revision === 3 || undefined);
    expect(seen.map(({ revision, changes }) => [revision, changes])).toEqual([
      [1, [put("a", "1")]],
      [2, [put("a", "2")]],
      [3, [put("a", "3")]],
    ]);
    expect(other.id).toBe(one.id);
  });

  test("a commit larger than a transaction of etcd is one commit for everybody", async () => {
    const one = await fresh();
    const other = await opened(`/test/${made}`);
    const sizes: number[] = [];
    await other.watch(0, ({ changes }) => sizes.push(changes.length));
    await one.commit(rows(5_000, "v".repeat(300)));
    await one.commit([put("000007", "later"), { table: "claim", key: "000008" }]);
    await until("both to be heard", () => other.revision === 2 || undefined);
    expect(sizes).toEqual([5_000, 2]);
    const found = await all(other);
    expect(found).toHaveLength(4_999);
    expect(found[7]).toEqual({ key: "000007", value: "later", revision: 2 });
    expect(found[8]).toMatchObject({ key: "000009", revision: 1 });
    // A third one, from the beginning: what the store remembers is whole too.
    const third = await opened(`/test/${made}`);
    const again: number[] = [];
    await third.watch(0, ({ changes }) => again.push(changes.length));
    expect(again).toEqual([5_000, 2]);
  });

  test("a large commit whose writer died at its commit counts, and its successor puts it in place", async () => {
    const dead = await fresh();
    await dead.commit([put("000001", "before"), put("other", "kept")]);
    const keys = keysOf();
    await asked(async (client) => {
      const view = await dead.snapshot();
      const changes = rows(300, "after");
      const next: Meta = { ...view.meta, revision: 2, by: "the dead", staged: 1 };
      const writer = new Writer(client, keys);
      const decided = await writer.commit({ meta: view.meta, at: view.metaAt }, next, changes, []);
      expect(decided).not.toBe("superseded"); // and here it dies: no row is in its place
    });
    const reader = await opened(`/test/${made}`);
    expect(await all(reader)).toHaveLength(301);
    expect(await reader.get("claim", "000001")).toMatchObject({ value: "after", revision: 2 });
    const reign = await crown("successor");
    await reader.lead(reign);
    expect(await reader.commit([put("000002", "next")])).toEqual({ is: "committed", revision: 3 });
    const found = await all(reader);
    expect(found).toHaveLength(301);
    expect(found.filter(({ value }) => value === "after")).toHaveLength(299);
    const { kvs } = await asked((client) =>
      client.range({ key: keys.allStaged, rangeEnd: afterPrefix(keys.allStaged) }),
    );
    expect(kvs).toEqual([]);
  });

  test("parts that a dead writer staged and never committed are nothing", async () => {
    const store = await fresh();
    await store.commit([put("a", "1")]);
    await asked((client) =>
      client.txn(
        [],
        [{ put: { key: keysOf().staged(2, 7), value: partOctets([put("never", "1")]) } }],
      ),
    );
    expect(await all(store)).toHaveLength(1);
    await store.commit(rows(200, "2"));
    expect(await all(store)).toHaveLength(201);
    expect(await store.get("claim", "never")).toBeUndefined();
  });

  test("A14: a writer that was superseded cannot write, and nothing of its commit is there", async () => {
    const old = await fresh();
    await old.lead(await crown("old"));
    expect(await old.commit([put("a", "1")])).toEqual({ is: "committed", revision: 1 });
    const heir = await opened(`/test/${made}`);
    await heir.lead(await crown("heir"));
    expect(await old.commit([put("a", "2")])).toMatchObject({ is: "superseded" });
    expect(await old.commit(rows(500, "2"))).toMatchObject({ is: "superseded" });
    expect(await heir.commit([put("b", "1")])).toEqual({ is: "committed", revision: 2 });
    expect((await all(heir)).map(({ key, value }) => key + value)).toEqual(["a1", "b1"]);
  });

  test("commits whose answers come late are done once each", async () => {
    const store = await fresh();
    const seen: number[] = [];
    await store.watch(0, ({ revision }) => seen.push(revision));
    for (let i = 0; i < 3; i++) {
      const commits = [store.commit([put("a", String(i))]), store.commit(rows(300, String(i)))];
      await etcd.signal(0, "SIGSTOP"); // longer than a try lasts: each is tried again
      await store.client.pause(700);
      await etcd.signal(0, "SIGCONT");
      const outcomes = await Promise.all(commits);
      expect(outcomes.map(({ is }) => is)).toEqual(["committed", "committed"]);
    }
    expect(seen).toEqual([1, 2, 3, 4, 5, 6]);
    expect(await all(store)).toHaveLength(301);
  });

  test("what etcd has compacted is told as compacted", async () => {
    const store = await fresh();
    for (let i = 0; i < 5; i++) await store.commit([put("a", String(i))]);
    const { at } = await store.snapshot();
    await asked((client) => client.call(methods.compact, { revision: at }));
    expect(await store.watch(2, () => {})).toBe("compacted");
    expect(await store.watch(5, () => {})).not.toBe("compacted");
    expect(await store.commit([put("a", "6")])).toEqual({ is: "committed", revision: 6 });
  });

  test.each([
    ["meta", "{", /no store of this program/],
    ["meta", '{"format":7,"id":"x"}', /a store of format 7/],
  ])("%s that reads %j is refused", async (key, value, reason) => {
    made += 1;
    const octets = Buffer.from(value);
    await asked((client) =>
      client.txn([], [{ put: { key: Buffer.from(`/test/${made}/${key}`), value: octets } }]),
    );
    await expect(opened(`/test/${made}`)).rejects.toThrow(reason);
  });

  test("an endpoint that is no etcd is passed over", async () => {
    const other = createServer((_, response) => response.writeHead(404).end());
    other.listen(0, "127.0.0.1");
    await once(other, "listening");
    const { port } = other.address() as AddressInfo;
    made += 1;
    const endpoints = [`127.0.0.1:${port}`, ...etcd.endpoints];
    for (
      let i = 0;
      i < 4;
      i++ // from a random one on
    )
      stores.push(await etcdStore({ endpoints, prefix: `/test/${made}`, clock: systemClock }));
    other.close();
  });

  test("a cluster that does not answer is named, with what to do", async () => {
    const nowhere = { endpoints: ["127.0.0.1:1"], prefix: "/test/x", clock: systemClock };
    await expect(etcdStore(nowhere, 500)).rejects.toThrow(Refused);
    await expect(etcdStore(nowhere, 500)).rejects.toThrow(
      /no member of the etcd cluster answers: .*127.0.0.1:1.* Is it running/,
    );
  });
});
