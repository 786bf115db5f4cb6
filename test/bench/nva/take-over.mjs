// Of two replicas the one that decides is killed, while there are very many mappings in etcd: how long until the other acknowledges.
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { systemClock } from "@nve/linux/clock";
import { EtcdClient } from "@nve/nva/store/etcd/client";
import { Keys } from "@nve/nva/store/etcd/keys";
import { answers } from "@nve/program/answers";
import { call, connect } from "@nve/program/rpc";
import { NorthboundClient } from "@nve/protocol-spec/proto/northbound";
import { etcdCluster } from "./etcd.mjs";
import {
  after,
  bin,
  claimAll,
  claimOf,
  cpuMs,
  createVns,
  freePort,
  nveSession,
  program,
  round,
  rss,
  until,
} from "./rig.mjs";

const PER_NVE = 200_000; // an NVE's limit
const PIECE = 20_000;
const VNS = 100;
/** How long the new one is looked at: as long as a lease lasts that is not kept, and more. */
const WATCH_MS = 15_000;

/** @param total mappings, of as many NVEs as that takes; one member of etcd, whose own loss is measured elsewhere */
export async function takeOver(total) {
  const folder = mkdtempSync(join(tmpdir(), "bench-nva-"));
  const etcd = await etcdCluster(join(folder, "etcd"), { members: 1, quotaOctets: 6e9 });
  const replicas = [];
  const sessions = new Map();
  try {
    for (const id of ["nva0", "nva1"]) replicas.push(await replica(folder, id, etcd));
    for (let vnId = 1; vnId <= VNS; vnId++) await made(replicas[0], vnId);
    const loadBegan = performance.now();
    let changes = 0; // of who decides, on a busy machine
    for (let first = 0; first < total; first += PIECE) {
      const count = Math.min(PIECE, total - first);
      while (!(await loaded(replicas, sessions, first, count))) changes += 1;
    }
    const loadSeconds = (performance.now() - loadBegan) / 1000;
    await rested(replicas);
    const { decider, follower } = await whoDecides(replicas);
    const memory = { deciderMb: mb(decider), followerMb: mb(follower) };
    const killed = performance.now();
    decider.child.kill("SIGKILL");
    const { session, welcomeMs, claimMs } = await firstClaim(follower, killed, total);
    sessions.set("last", session);
    const { gap, lostSessions, claims, nvaId } = await goesOn(follower, sessions, total);
    const regain = await deposed(follower, sessions, etcd, total);
    return {
      mappings: total,
      loadSeconds: round(loadSeconds),
      ...(changes > 0 && { changesMeanwhile: changes }),
      ...memory,
      etcdMb: mb(etcd.members[0].program),
      welcomeMs: round(welcomeMs),
      firstClaimMs: round(claimMs),
      longestGapAfterMs: round(gap),
      ...(lostSessions > 0 && { lostSessions }),
      lost: total - claims,
      decidesStill: nvaId === follower.id,
      regainClaimMs: round(regain.claimMs),
      lostOnRegain: total - regain.claims,
    };
  } finally {
    for (const session of sessions.values()) session.close();
    for (const one of replicas) {
      one.northbound.close();
      one.child.kill("SIGKILL"); // what they would let go of is of no use
      await one.stop();
    }
    await etcd.stop();
    rmSync(folder, { recursive: true, force: true });
  }
}

const mb = (one) => round(rss(one) / 1e6, 0);
const vtepOf = (n) => `10.0.0.${n + 1}`;

async function replica(folder, id, etcd) {
  const socket = join(folder, `${id}.sock`);
  const address = `127.0.0.1:${await freePort()}`;
  const config = join(folder, `${id}.yaml`);
  const listen = { address, insecure: true };
  const store = { use: "etcd", endpoints: etcd.endpoints, insecure: true };
  const settings = { id, socket: `unix:${socket}`, listen, advertise: address, store, log: "warn" };
  writeFileSync(config, JSON.stringify(settings));
  const nva = program(folder, id, [...bin("nva"), "run", "--config", config]);
  await until(id, () => nva.alive() && answers(socket), 15_000);
  return { ...nva, id, address, northbound: connect(NorthboundClient, `unix:${socket}`) };
}

const statusOf = ({ northbound }) => call(northbound, northbound.status, {});

async function whoDecides(replicas) {
  let nvaId;
  await until("an NVA to decide", async () => {
    nvaId = await statusOf(replicas[0]).then(
      (status) => status.nvaId,
      () => undefined,
    );
    return nvaId !== undefined;
  });
  const decider = replicas.find(({ id }) => id === nvaId);
  return { decider, follower: replicas.find((one) => one !== decider) };
}

/** @returns whether all of the piece is acknowledged; if not, its NVE has no session any more */
async function loaded([{ address }], sessions, first, count) {
  const nve = `tor${Math.floor(first / PER_NVE)}`;
  try {
    const session =
      sessions.get(nve) ?? (await nveSession(address, nve, vtepOf(Math.floor(first / PER_NVE)), 4));
    sessions.set(nve, session);
    await claimAll(session, { count, first, vns: VNS, batch: 1000, macsPerVnic: 20 });
    return true;
  } catch {
    sessions.get(nve)?.close();
    sessions.delete(nve);
    await after(200);
    return false;
  }
}

/** They have taken all in: they do next to nothing for three seconds. */
async function rested(replicas) {
  const spent = () => replicas.reduce((sum, one) => sum + cpuMs(one), 0);
  for (let quiet = 0, before = spent(); quiet < 3; ) {
    await after(1000);
    const now = spent();
    quiet = now - before < 300 ? quiet + 1 : 0;
    before = now;
  }
}

/** An NVE that tries again and again, as NVEs do. */
async function firstClaim({ address }, killed, total) {
  for (;;) {
    try {
      const session = await nveSession(address, "last", vtepOf(99), 4);
      const welcomeMs = performance.now() - killed;
      const { ack } = await session.report({ claims: [claimOf(1, total)], joinedVns: [1] });
      await ack;
      return { session, welcomeMs, claimMs: performance.now() - killed };
    } catch (error) {
      if (performance.now() - killed > 60_000) throw error;
      await after(10);
    }
  }
}

/** Claims go on, one by one: the longest time that one took, and what there is in the end without them. */
async function goesOn(follower, sessions, total) {
  let [gap, lostSessions, made] = [0, 0, 1];
  for (const begin = performance.now(); performance.now() - begin < WATCH_MS; made++) {
    const sent = performance.now();
    const claims = [claimOf(1, total + made)];
    try {
      await (await sessions.get("last").report({ claims })).ack;
    } catch {
      lostSessions += 1;
      sessions.get("last").close();
      const { session } = await firstClaim(follower, sent, total + made);
      sessions.set("last", session);
    }
    gap = Math.max(gap, performance.now() - sent);
    await after(50);
  }
  const { claims, nvaId } = await statusOf(follower);
  return { gap, lostSessions, nvaId, claims: claims - made };
}

/** It loses its lease, as one does that stood still for too long, and nobody else is there: how long until it acknowledges again. */
async function deposed(follower, sessions, etcd, total) {
  const client = new EtcdClient(etcd.endpoints, systemClock);
  const { writer } = new Keys("/split-nve/nva");
  const held = (await statusOf(follower)).claims - total;
  await client.txn([], [{ delete: { key: writer } }]);
  client.close();
  const began = performance.now();
  sessions.get("last").close();
  const made = 1_000_000; // an address that nobody has
  const { session, claimMs } = await firstClaim(follower, began, total + made);
  sessions.set("last", session);
  return { claimMs, claims: (await statusOf(follower)).claims - held - 1 };
}

/** Tries again where nobody decides for a moment. */
async function made(nva, vnId) {
  for (const begin = performance.now(); ; ) {
    try {
      return await createVns(nva, 1, vnId);
    } catch (error) {
      if (/already/.test(error.message)) return;
      if (performance.now() - begin > 20_000) throw error;
      await after(100);
    }
  }
}
