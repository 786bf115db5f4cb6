import { type ChildProcess, spawn } from "node:child_process";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { systemClock } from "@nve/linux/clock";
import { EventLog, kept, type Noted } from "@nve/nva/authority/events";
import { etcdStore } from "@nve/nva/store/etcd/store";
import { eventsOf, rowChange } from "@nve/nva/store/rows";
import { call, connect } from "@nve/program";
import { Instant } from "@nve/protocol-spec";
import {
  CreateVnRequest,
  type Event,
  ListEventsRequest,
  NorthboundClient,
  PutResourceRequest,
  Resource,
} from "@nve/protocol-spec/proto/northbound";
import { NveClient } from "@nve/protocol-spec/proto/nve";
import { afterAll, afterEach, beforeAll, describe, expect, test } from "vitest";
import { bundleNva, type NvaProcess, nvaProcess } from "../model/one-nva.ts";
import { claim, session, uuid } from "../sim/nva/rig.ts";
import { type EtcdCluster, etcdCluster, freePorts, hasEtcd } from "../support/etcd.ts";
import { until } from "../support/lab.ts";

// The record of who did what, of several NVAs over one etcd cluster.

describe.skipIf(!hasEtcd)("events of several NVAs", () => {
  let etcd: EtcdCluster;
  let program: Awaited<ReturnType<typeof bundleNva>>;
  let made = 0;
  const running: (() => unknown)[] = [];
  beforeAll(async () => {
    [etcd, program] = await Promise.all([etcdCluster(), bundleNva()]);
  });
  afterEach(async () => {
    for (const stop of running.splice(0).reverse()) await stop();
  });
  afterAll(async () => {
    await etcd.stop();
    program.remove();
  });

  /** @param fill what is in the store before they start */
  async function twoNvas(fill = async (_prefix: string): Promise<void> => {}) {
    made += 1;
    const prefix = `/events/${made}`;
    await fill(prefix);
    const folder = mkdtempSync(join(tmpdir(), "nva-events-"));
    const nvas = (await freePorts(2)).map((port, n) => {
      const address = `127.0.0.1:${port}`;
      const store = { use: "etcd", endpoints: etcd.endpoints, prefix, insecure: true };
      const more = { listen: { address, insecure: true }, advertise: address, holdSeconds: 600 };
      return nvaProcess(folder, program.path, `nva${n}`, store, more);
    });
    const clients = nvas.map(({ address }) => connect(NorthboundClient, address));
    running.push(async () => {
      for (const client of clients) client.close();
      await Promise.all(nvas.map((nva) => nva.stop("SIGKILL")));
      rmSync(folder, { recursive: true });
    });
    await Promise.all(nvas.map((nva) => nva.start()));
    /** Which one decides, as this one knows it. */
    const decider = (asked: 0 | 1): Promise<0 | 1> =>
      until(
        "one of them to decide",
        async () => {
          const client = of(clients, asked);
          const status = await call(client, client.status, {}, 1_000).catch(() => undefined);
          return status && (status.nvaId === "nva0" ? 0 : 1);
        },
        20_000,
      );
    return { prefix, nvas, clients, decider };
  }

  test("A14: whoever follows at the one that does not decide is told each event once, in order, while those who decide are killed, paused and stopped", async () => {
    const { nvas, clients, decider } = await twoNvas();
    const first = await decider(0);
    const other = first === 0 ? 1 : 0;
    const northbound = of(clients, other);
    await call(northbound, northbound.createVn, CreateVnRequest.create({ alias: "blue", vnId: 1 }));
    const followed = follow(of(nvas, other));
    const work = worker(nvas, clients);
    const progress = async () => {
      const now = work.done();
      await until("both to go on", () => work.done() > now + 3 || undefined, 20_000);
    };
    await progress();
    await of(nvas, first).stop("SIGKILL");
    await progress();
    await of(nvas, first).start();
    await progress();
    const second = await decider(0);
    await of(nvas, second).pause(5_000);
    await progress();
    const third = await decider(0);
    await of(nvas, third).stop("SIGTERM");
    await progress();
    await of(nvas, third).start();
    await of(nvas, other).stop("SIGKILL"); // that of the follower, whether it decides or not
    await progress();
    await of(nvas, other).start();
    await progress();
    const { tenants, vnics } = await work.end();
    await Promise.all([decider(0), decider(1)]); // both answer again
    await put(northbound, "end");
    const all = upToEnd(await events(northbound));
    expect(upToEnd(await events(of(clients, first)))).toEqual(all);
    const isTold = () => followed.lines.some(({ object }) => object === "end") || undefined;
    await until("the last to be told", () => followed.ended ?? isTold(), 20_000);
    expect(followed.ended).toBeUndefined();
    const lines = upToEnd(followed.lines);
    expect(lines.map(({ id }) => id)).toEqual(all.map((_, i) => i + 1));
    expect(lines.map(short)).toEqual(all.map(short));
    const created = objects(all, "tenant.create");
    const attached = objects(all, "vnic.attach");
    expect(new Set(created).size).toBe(created.length);
    expect(new Set(attached).size).toBe(attached.length);
    expect(tenants.filter((name) => !created.includes(name))).toEqual([]);
    const there = new Set(attached);
    expect(vnics.filter((vnic) => !there.has(vnic))).toEqual([]);
    expect(vnics.length).toBeGreaterThan(1_000);
  }, 120_000);

  test("A14: the oldest events go with the commits of whoever decides, and nothing else does", async () => {
    const { prefix, nvas, clients, decider } = await twoNvas((at) => filled(at, kept + 1_500));
    const client = of(clients, 0);
    const oldest = async () => {
      const page = await call(client, client.listEvents, ListEventsRequest.create({ pageSize: 1 }));
      return [Number(page.events[0]?.id), Number(page.last)] as const;
    };
    const first = await decider(0);
    expect(await oldest()).toEqual([1, kept + 1_500]); // a start deletes nothing
    await put(client, "a");
    expect(await oldest()).toEqual([1_001, kept + 1_501]); // blocks of 1,000, the first of 999
    await of(nvas, first).stop("SIGTERM");
    await decider(first === 0 ? 1 : 0);
    await of(nvas, first).start();
    await decider(0);
    for (let i = 0; i < 3; i++) await put(client, `b${i}`);
    const [from, last] = await oldest();
    expect(last).toBe(kept + 1_504);
    expect(last - from + 1).toBeGreaterThanOrEqual(kept);
    const store = await etcdStore({ endpoints: etcd.endpoints, prefix, clock: systemClock });
    running.push(() => store.close());
    const ids: number[] = [];
    for await (const row of store.list("event"))
      ids.push(...eventsOf(row).map((event) => event.row.id));
    expect(ids).toEqual(Array.from({ length: last - from + 1 }, (_, i) => from + i));
  });

  /** Events of long ago, in commits of 1,000. */
  async function filled(prefix: string, count: number): Promise<void> {
    const store = await etcdStore({ endpoints: etcd.endpoints, prefix, clock: systemClock });
    const log = new EventLog(undefined, 10 * count);
    for (let from = 0; from < count; from += 1_000) {
      const events = Array.from({ length: Math.min(1_000, count - from) }, (_, i): Noted => {
        return { actor: "local", action: "tenant.create", object: `t${from + i}` };
      });
      await store.commit(log.append(events, Instant(0)).map(rowChange));
    }
    await store.close();
  }

  type Line = { id: number; actor: string; action: string; object: string; detail: object };

  /** `nva events --follow` from the first on, at an NVA. */
  function follow({ address }: NvaProcess): { lines: Line[]; ended?: string } {
    const words = ["events", "--follow", "--json", "--after", "0", "--address", address];
    const child: ChildProcess = spawn(process.execPath, [program.path, ...words], {
      stdio: ["ignore", "pipe", "pipe"],
    });
    running.push(() => child.kill("SIGKILL"));
    const followed: { lines: Line[]; ended?: string } = { lines: [] };
    const errors: string[] = [];
    if (child.stdout !== null)
      createInterface(child.stdout).on("line", (line) => followed.lines.push(JSON.parse(line)));
    child.stderr?.on("data", (text) => errors.push(String(text)));
    child.once("close", (code) => {
      followed.ended = `exit code ${code}: ${errors.join("")}`;
    });
    return followed;
  }
});

const of = <T>(all: readonly T[], n: number): T => {
  const one = all[n];
  if (one === undefined) throw new Error(`there is no number ${n}`);
  return one;
};
/** What comes later nobody waits for. */
const upToEnd = <T extends { object: string }>(all: readonly T[]): T[] =>
  all.slice(0, all.findIndex(({ object }) => object === "end") + 1);
const objects = (all: readonly Event[], action: string): string[] =>
  all.filter((event) => event.action === action).map(({ object }) => object);
const short = ({ id, action, object }: { id: number | bigint; action: string; object: string }) =>
  `${id} ${action} ${object}`;

async function events(client: NorthboundClient): Promise<Event[]> {
  const all: Event[] = [];
  for (;;) {
    const after = all.at(-1)?.id ?? 0n;
    const request = ListEventsRequest.create({ after, pageSize: 1_000 });
    const page = await call(client, client.listEvents, request, 5_000);
    if (page.events.length === 0) return all;
    all.push(...page.events);
  }
}

const put = (client: NorthboundClient, name: string) => {
  const resource = Resource.fromPartial({ of: { $case: "tenant", value: { name } } });
  return call(client, client.putResource, PutResourceRequest.create({ resource }), 2_000);
};

/** A client that makes tenants, and an NVE that attaches VNICs; each asks any of them, again and again until it is done. */
function worker(nvas: readonly NvaProcess[], clients: readonly NorthboundClient[]) {
  const tenants: string[] = [];
  const vnics: string[] = [];
  let over = false;
  const making = (async () => {
    for (let turn = 0; !over; turn++) {
      const name = `t${tenants.length}`;
      const client = of(clients, turn % 2);
      await put(client, name).then(
        () => tenants.push(name),
        () => new Promise((resolve) => setTimeout(resolve, 50)),
      );
    }
  })();
  const attaching = (async () => {
    for (let turn = 0; !over; turn++) {
      const client = connect(NveClient, of(nvas, turn % 2).address);
      await attach(client, vnics, () => over).catch(
        () => new Promise((resolve) => setTimeout(resolve, 50)),
      );
      client.close();
    }
  })();
  return {
    /** How often the slower of the two has been acknowledged. */
    done: () => Math.min(tenants.length, vnics.length / atOnce),
    async end() {
      over = true;
      await Promise.all([making, attaching]);
      return { tenants, vnics };
    },
  };
}

const atOnce = 150;

/** @param vnics those that are attached: more come @throws when the session ends */
async function attach(client: NveClient, vnics: string[], isOver: () => boolean): Promise<void> {
  const tor1 = session(client.connect());
  tor1.hello("tor1", "10.0.1.11");
  await tor1.inbox.next(({ message }) => message?.$case === "welcome");
  while (!isOver()) {
    const names = Array.from({ length: atOnce }, (_, i) => {
      const n = (vnics.length + i) % 60_000;
      return { n, name: `00000000-0000-4000-8000-${String(n).padStart(12, "0")}` };
    });
    await tor1.told({ claims: names.map(({ n, name }) => claim(n, { vnic: uuid(name) })) });
    vnics.push(...names.map(({ name }) => name));
  }
}
