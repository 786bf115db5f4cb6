import { copyFileSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import grpc from "@grpc/grpc-js";
import { systemClock } from "@nve/linux/clock";
import { Inventory } from "@nve/nva/authority/inventory";
import { NvaConfig } from "@nve/nva/config";
import { type Nva, startNva } from "@nve/nva/nva";
import { Mirror } from "@nve/nva/replica/mirror";
import { EtcdClient } from "@nve/nva/store/etcd/client";
import { Keys } from "@nve/nva/store/etcd/keys";
import { created } from "@nve/nva/store/etcd/messages";
import { etcdStore } from "@nve/nva/store/etcd/store";
import { loadTables } from "@nve/nva/store/rows";
import type { RowChange } from "@nve/nva/store/store";
import { call, connect, createLog } from "@nve/program";
import { Tls } from "@nve/program/tls";
import type { TlsFiles } from "@nve/program/tls-files";
import {
  CreateVnRequest,
  ListClaimsRequest,
  NorthboundClient,
} from "@nve/protocol-spec/proto/northbound";
import { NveClient } from "@nve/protocol-spec/proto/nve";
import type { Cursor } from "@nve/protocol-spec/proto/types";
import fc from "fast-check";
import { afterAll, afterEach, beforeAll, describe, expect, test } from "vitest";
import { claim, session, watching } from "../sim/nva/rig.ts";
import { certificates, clientSubject, nvaSubject, nveSubject } from "../support/certificates.ts";
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

  /** Replicas of one NVA, each with an address of its own. */
  async function replicas(count: number, tls?: () => TlsFiles) {
    made += 1;
    const prefix = `/replicas/${made}`;
    const folder = mkdtempSync(join(tmpdir(), "nva-replicas-"));
    const ports = await freePorts(count);
    const addresses = ports.map((port) => `127.0.0.1:${port}`);
    const start = async (n: number): Promise<Nva> => {
      const [address, files] = [addresses[n], tls?.()];
      const config = NvaConfig.parse({
        id: `nva${n}`,
        listen: { address, ...(files === undefined ? { insecure: true } : { tls: files }) },
        advertise: address,
        socket: `unix:${join(folder, `${n}.sock`)}`,
        store: {
          use: "etcd",
          endpoints: etcd.endpoints,
          insecure: true,
          prefix,
        },
      });
      return startNva(config, systemClock, createLog(`nva${n}`, "silent"));
    };
    const nvas = await Promise.all(ports.map((_, n) => start(n)));
    const northbounds = ports.map((_, n) =>
      connect(NorthboundClient, `unix:${join(folder, `${n}.sock`)}`),
    );
    running.push(async () => {
      for (const client of northbounds) client.close();
      await Promise.all(nvas.map((nva) => nva.stop()));
      rmSync(folder, { recursive: true });
    });
    const northbound = (n: number): NorthboundClient => {
      const client = northbounds[n];
      if (client === undefined) throw new Error(`no replica ${n}`);
      return client;
    };
    return {
      nvas,
      prefix,
      northbound,
      addressOf: (n: number) => addresses[n] ?? "",
      /** Which one decides, as this one knows it. */
      decider: (asked = 0): Promise<number> =>
        until("one of them to decide", async () => {
          const client = northbound(asked);
          const status = await call(client, client.status, {}, 1_000).catch(() => undefined);
          return status && Number(status.nvaId.slice(3));
        }),
      nve: (n: number, files?: TlsFiles): NveClient => {
        const secure = files && new Tls(files, { log: createLog("nve", "silent") });
        const client = connect(NveClient, addresses[n] ?? "", secure);
        running.push(async () => {
          client.close();
          secure?.close();
        });
        return client;
      },
    };
  }

  const create = (client: NorthboundClient, alias: string) =>
    call(client, client.createVn, CreateVnRequest.create({ alias }), 2_000);
  const other = (n: number, count: number): number => (n + 1) % count;

  test("A14: each of them serves everybody, with consistent answers", async () => {
    const { northbound, decider } = await replicas(3);
    await decider();
    for (const n of [0, 1, 2]) expect((await create(northbound(n), `vn${n}`)).alias).toBe(`vn${n}`);
    for (const n of [0, 1, 2]) {
      const client = northbound(n);
      const { vns } = await call(client, client.listVns, { pageSize: 0, pageToken: "" });
      expect(vns.map(({ alias }) => alias)).toEqual(["vn0", "vn1", "vn2"]);
    }
    await expect(create(northbound(1), "vn2")).rejects.toThrow(/has a VN "vn2" already/);
  });

  test("A14, A15: a session and a watch by a replica that does not decide; when another comes to decide, the watch goes on from its cursor", async () => {
    const { nvas, northbound, decider, nve } = await replicas(3);
    const first = await decider();
    await create(northbound(0), "blue");
    const asked = other(first, 3);
    const before = nve(asked);
    const tor1 = session(before.connect());
    tor1.hello("tor1", "10.0.1.11");
    await tor1.inbox.next(({ message }) => message?.$case === "welcome");
    const stored = await tor1.told({ claims: [claim(1)], joinedVns: [1], complete: true });
    const watch = watching(before.watch(), "tor1");
    watch.ask({ add: [{ vnId: 1, cursor: undefined }] });
    const { cursor } = (await watch.until("snapshotEnd")) as { cursor: Cursor };
    expect(cursor.revision).toBeGreaterThanOrEqual(stored.revision);
    const claims = async () => {
      const request = ListClaimsRequest.create({ pageSize: 100 });
      const page = await call(northbound(asked), northbound(asked).listClaims, request);
      return page.claims.map((one) => ({ ...one, stale: true })); // until the NVE is back
    };
    const known = await claims();
    expect(known).toHaveLength(1);
    await nvas[first]?.stop();
    expect(await tor1.inbox.ended).toMatch(/^14 /); // UNAVAILABLE: the NVE comes anew
    expect(await watch.inbox.ended).toMatch(/^14 /);
    const second = await decider(asked);
    expect(second).not.toBe(first);
    expect(await claims()).toEqual(known);
    const again = watching(nve(asked).watch(), "tor1");
    again.ask({ add: [{ vnId: 1, cursor }] });
    await again.delta((text) => text.includes("+1@tor1 stale")); // until it reports again
    expect(again.kinds()).not.toContain("snapshotBegin");
  });

  test("A14: while etcd has no majority nobody decides, and who asks is told so at once; then all is there again", async () => {
    const { northbound, decider } = await replicas(2);
    await decider();
    await create(northbound(0), "blue");
    await etcd.signal(0, "SIGSTOP");
    const client = northbound(0);
    try {
      const refusal = await until("a refusal", () =>
        create(client, "red").then(
          () => undefined,
          (error: Error) => (/no NVA decides/.test(error.message) ? error.message : undefined),
        ),
      );
      expect(refusal).toMatch(
        /^no NVA decides at the moment: the replicas are electing one \(says who answers at unix:/,
      );
      const begun = performance.now();
      await expect(create(client, "red")).rejects.toThrow(/no NVA decides/);
      expect(performance.now() - begun).toBeLessThan(500);
    } finally {
      await etcd.signal(0, "SIGCONT");
    }
    await decider();
    const { vns } = await call(client, client.listVns, { pageSize: 0, pageToken: "" });
    expect(vns.map(({ alias }) => alias)).toContain("blue");
  });

  test("A19, H26: with TLS the one that decides knows for whom another asks, and believes only an NVA in that", async () => {
    const certs = certificates();
    running.push(async () => certs.remove());
    const ca = certs.ca();
    const { northbound, decider, nve, addressOf } = await replicas(2, () => ca.files(nvaSubject));
    const first = await decider();
    const asked = other(first, 2);
    await create(northbound(asked), "blue"); // its own socket: as there, so here
    const files = ca.files(nveSubject("tor1", "10.0.1.11"));
    const real = session(nve(asked, files).connect());
    real.hello("tor1", "10.0.1.11");
    expect((await real.inbox.next()).message?.$case).toBe("welcome");
    const thief = session(nve(asked, ca.files(nveSubject("tor2"))).connect());
    thief.hello("tor1", "10.0.1.11");
    expect(await thief.inbox.ended).toBe(
      '7 the certificate is of NVE "tor2", and the NVE says that it is "tor1"',
    );
    const metadata = new grpc.Metadata();
    metadata.set("split-nve-caller", '{"is":"local"}');
    const secure = new Tls(ca.files(clientSubject("mallory", "viewer")), {
      log: createLog("mallory", "silent"),
    });
    const mallory = connect(NorthboundClient, addressOf(first), secure);
    running.push(async () => {
      mallory.close();
      secure.close();
    });
    const outcome = await new Promise((resolve) =>
      mallory.createVn(CreateVnRequest.create({ alias: "red" }), metadata, (error) =>
        resolve(error?.details),
      ),
    );
    expect(outcome).toMatch(/"mallory" has the role viewer, and this needs admin/);
  });

  test("a replica that passes calls on shows the certificate that it has now; sessions by it go on", async () => {
    const certs = certificates();
    running.push(async () => certs.remove());
    const ca = certs.ca();
    const given: TlsFiles[] = [];
    const { northbound, decider, nve } = await replicas(2, () => {
      const files = ca.files(nvaSubject);
      given.push(files);
      return files;
    });
    const asked = other(await decider(), 2);
    await create(northbound(asked), "blue");
    const tor1 = session(nve(asked, ca.files(nveSubject("tor1", "10.0.1.11"))).connect());
    tor1.hello("tor1", "10.0.1.11");
    await tor1.inbox.next(({ message }) => message?.$case === "welcome");
    let tried = 0;
    const outcome = (wanted: RegExp) =>
      until("the other certificate to count", async () => {
        tried += 1;
        const said = await create(northbound(asked), `vn${tried}`).then(
          () => "made",
          (error: Error) => error.message,
        );
        return wanted.test(said) ? said : undefined;
      });
    const replace = (files: TlsFiles): void => {
      for (const what of ["certificate", "key"] as const)
        copyFileSync(files[what], given[asked]?.[what] ?? "");
    };
    replace(ca.files(nveSubject("stranger"))); // which nobody believes to be another NVA
    expect(await outcome(/stranger|not allowed|may not|NVE/)).not.toBe("made");
    replace(ca.files(nvaSubject));
    expect(await outcome(/^made$/)).toBe("made");
    expect(await tor1.told({ claims: [claim(1)], joinedVns: [1], complete: true })).toBeDefined();
  });

  test("whoever is followed by another says so from then on, not that one is being elected", async () => {
    const { northbound, decider, addressOf, prefix } = await replicas(2);
    const first = await decider();
    const client = new EtcdClient(etcd.endpoints, systemClock);
    running.push(async () => client.close());
    const keys = new Keys(prefix);
    const value = Buffer.from(JSON.stringify({ id: "next", address: addressOf(other(first, 2)) }));
    // A replica that is quicker has the key: to write over it would leave it in office.
    await until("the key of who decides", async () => {
      await client.txn([], [{ delete: { key: keys.writer } }]);
      const ours = await client.txn(
        [created(keys.writer, 0n)],
        [{ put: { key: keys.writer, value } }],
      );
      return ours.succeeded || undefined;
    });
    const said: string[] = [];
    const looks = async (): Promise<true | undefined> => {
      const asked = northbound(first);
      const answer = await call(asked, asked.status, {}, 500).catch(
        (error: Error) => error.message,
      );
      if (typeof answer === "string" && /about to decide/.test(answer)) said.push("next");
      else if (said.length > 0) said.push(JSON.stringify(answer));
      return said.length > 60 || undefined; // it follows anew after 0.2 s
    };
    await until("all turns to be over", looks, 30_000); // so many looks take long on a busy machine
    await client.txn([], [{ delete: { key: keys.writer } }]);
    expect(new Set(said)).toEqual(new Set(["next"]));
    await decider();
  });

  test("any history: what a replica follows is what a store holds, from wherever it begins", async () => {
    const change = (table: "tenant" | "profile", name: string, said?: string): RowChange => {
      const row = { name, ...(said !== undefined && { description: said }) };
      const more = table === "profile" ? { acl: [] } : {};
      const value = said === undefined ? {} : { value: JSON.stringify({ ...row, ...more }) };
      return { table, key: name, ...value };
    };
    const row = fc
      .tuple(
        fc.constantFrom("tenant" as const, "profile" as const),
        fc.constantFrom("a", "a/b", "b", "c"),
        fc.option(fc.string({ maxLength: 5 }), { nil: undefined }),
      )
      .map((said) => change(...said));
    const large = fc
      .integer({ min: 200, max: 400 })
      .map((count) =>
        Array.from({ length: count }, (_, i) => change("tenant", `${i}`, `${count}`)),
      );
    const commit = fc.oneof(
      { weight: 9, arbitrary: fc.array(row, { maxLength: 4 }) },
      { weight: 1, arbitrary: large },
    );
    await fc.assert(
      fc.asyncProperty(fc.array(commit, { maxLength: 12 }), fc.nat(12), async (history, late) => {
        made += 1;
        const { endpoints } = etcd;
        const options = { endpoints, prefix: `/mirror/${made}`, clock: systemClock };
        const [writer, reader] = [await etcdStore(options), await etcdStore(options)];
        let mirror: Promise<Mirror> | undefined;
        for (const [i, changes] of history.entries()) {
          if (i === late) mirror = Mirror.of(reader, systemClock); // while commits go on
          await writer.commit(changes);
        }
        const followed = await (mirror ?? Mirror.of(reader, systemClock));
        await until("all to be followed", () => followed.revision === writer.revision || undefined);
        const read = Inventory.of(await loadTables(writer), systemClock.now());
        const { inventory } = followed.beginning(writer.revision);
        expect(declaredIn(inventory)).toEqual(declaredIn(read));
        await Promise.all([writer.close(), reader.close()]);
      }),
      { numRuns: 25 },
    );
  }, 60_000);
});

/** With the revisions of all. */
const declaredIn = ({ catalogue }: Inventory) =>
  (["tenant", "profile"] as const).map((kind) =>
    catalogue.keys(kind).map((key) => [key, catalogue.get(kind, key)]),
  );
