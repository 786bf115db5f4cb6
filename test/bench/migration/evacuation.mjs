// P9: very many VNICs leave one server for ten others at once, as before maintenance; a peer goes on speaking to some of them.
import { after, cpuMs, until } from "../nva/rig.mjs";
import { figuresOf, quantiles, round } from "./figures.mjs";
import { nowMs, startProbe } from "./probe.mjs";
import { hypervisor, openRacks } from "./racks.mjs";

const SOURCE = "s0";
const PEER = "peer";
const destinations = Array.from({ length: 10 }, (_, n) => `d${n + 1}`);
const racks = [[SOURCE], destinations.slice(0, 5), [...destinations.slice(5), PEER]];
const VNS = 50;
const SAMPLE = 20;
const PER_SECOND = 100;
/** Agents that agree say so in less; then what is left is left. */
const SETTLED_MS = 30_000;
const hex = (n) => n.toString(16).padStart(2, "0");

/** VNIC `n`; peers have numbers from 60,000 on. */
const vnicOf = (n, vn) => ({
  name: `${n}`,
  uuid: `5c1e0000-0000-4000-8000-00000000${hex(n >> 8)}${hex(n & 255)}`,
  vnId: 10_000 + vn,
  mac: `02:00:01:00:${hex(n >> 8)}:${hex(n & 255)}`,
  ip: `10.9.${n >> 8}.${n & 255}`,
});

/** @returns the times, what the streams to a sample of them say, and what is left of them where they were */
export async function evacuation(program, count, { attach, atOnce }) {
  const vnics = Array.from({ length: count }, (_, n) => ({
    ...vnicOf(n, n % VNS),
    to: destinations[n % destinations.length],
  }));
  const sample = vnics.filter((_, n) => n % Math.ceil(count / SAMPLE) === 0);
  const peers = new Map(
    [...new Set(sample.map(({ vnId }) => vnId))].map((vnId, n) => [
      vnId,
      vnicOf(60_000 + n, vnId - 10_000),
    ]),
  );
  const rig = await openRacks({
    racks,
    attach,
    cables: [
      ...vnics.flatMap(({ name, to }) => [SOURCE, to].map((server) => ({ server, vnic: name }))),
      ...[...peers.values()].map(({ name }) => ({ server: PEER, vnic: name })),
    ],
  });
  let probe;
  try {
    for (let vn = 0; vn < VNS; vn++)
      await rig.nva("createVn", {
        alias: `vn${vn}`,
        vnId: 10_000 + vn,
        vni: 70_000 + vn,
        name: Buffer.alloc(0),
        tenant: "",
        mtu: 0,
      });
    const at = new Map([...rig.servers].map(([name, agent]) => [name, hypervisor(agent)]));
    for (const one of peers.values()) await at.get(PEER).attach(one);
    const begin = nowMs();
    await inTurns(vnics, atOnce, (vnic) => at.get(SOURCE).attach(vnic));
    const attachedMs = nowMs() - begin;
    const places = sample.flatMap(({ name, to }) => [rig.at(SOURCE, name), rig.at(to, name)]);
    probe = await startProbe(
      program,
      [...peers.values()].map(({ name }) => rig.at(PEER, name)),
      places,
    );
    const senders = [...peers.keys()];
    for (const vnic of sample)
      await probe.to(senders.indexOf(vnic.vnId), peers.get(vnic.vnId), vnic);
    await probe.stream(PER_SECOND);
    await until("all of the sample to be reached where they are", async () => {
      const seen = await Promise.all(sample.map((_, n) => probe.seen(2 * n)));
      return seen.every((n) => n >= 5);
    });
    const before = usage(rig);
    const moved = await moveAll(vnics, at, atOnce);
    const cpu = since(usage(rig), before);
    const ecp = await ecpOf(rig);
    await after(300);
    const { sent, arrivals } = await probe.end();
    const streams = sample.map((vnic, n) => {
      const mine = arrivals.filter(({ target }) => target === n);
      const handOverMs = moved.each[vnics.indexOf(vnic)].handOverMs;
      return figuresOf({
        sent,
        arrivals: mine,
        places: { from: 2 * n, to: 2 * n + 1 },
        handOverMs,
        intervalMs: 1000 / PER_SECOND,
      });
    });
    return {
      ...{ vnics: count, vns: VNS, servers: destinations.length, attachedMs: round(attachedMs, 0) },
      ...moved.times,
      cpuMs: cpu,
      ecp,
      sample: {
        streams: streams.length,
        sent: sent * streams.length,
        lost: sum(streams, "lost"),
        twice: sum(streams, "twice"),
        reordered: sum(streams, "reordered"),
        networkMs: quantiles(streams.map(({ networkMs }) => networkMs)),
        astray: sum(streams, "astray"),
        outageMs: quantiles(streams.map(({ outageMs }) => outageMs)),
      },
      left: await leftOf(rig, vnics),
    };
  } finally {
    probe?.close();
    await rig.close();
  }
}

/** The outcomes, in order; at most so many are under way. */
async function inTurns(all, atOnce, act) {
  const outcomes = [];
  let next = 0;
  const worker = async () => {
    while (next < all.length) {
      const n = next++;
      outcomes[n] = await act(all[n]);
    }
  };
  await Promise.all(Array.from({ length: atOnce }, worker));
  return outcomes;
}

const sum = (all, of) => all.reduce((total, one) => total + one[of], 0);

/** So many at once, each as fast as it goes. */
async function moveAll(vnics, at, atOnce) {
  const begin = nowMs();
  const steps = { prepare: [], suspend: [], activate: [], detach: [] };
  const each = await inTurns(vnics, atOnce, async (vnic) => {
    const [source, destination] = [at.get(SOURCE), at.get(vnic.to)];
    const step = async (server, name) => {
      const from = nowMs();
      await server[name](vnic);
      steps[name].push(nowMs() - from);
      return from;
    };
    await step(destination, "prepare");
    await step(source, "suspend");
    const handOverMs = await step(destination, "activate");
    const activeMs = nowMs();
    await step(source, "detach");
    return { handOverMs, activeMs };
  });
  const latest = (of) => round(Math.max(...each.map(of)) - begin, 0);
  const times = {
    signallingMs: round(nowMs() - begin, 0),
    lastActiveMs: latest(({ activeMs }) => activeMs),
    stepMs: Object.fromEntries(Object.entries(steps).map(([name, all]) => [name, quantiles(all)])),
  };
  return { each, times };
}

/** Nothing may be left of any of them at the source; and each is where it is to be. */
async function leftOf(rig, vnics) {
  const begin = performance.now();
  let found;
  await until(
    "",
    async () => {
      found = await look(rig, vnics);
      return Object.values(found).every((n) => n === 0);
    },
    SETTLED_MS,
    100,
  ).catch(() => {}); // what it is then is what is said
  return { ...found, afterMs: Math.round(performance.now() - begin) };
}

async function look({ nva, servers, tors }, vnics) {
  const [{ vnics: atServer }, { vnics: atSwitch }, { vns }, { entries }] = await Promise.all([
    servers.get(SOURCE)("listVnics"),
    tors.get("tor1")("listVnics"),
    tors.get("tor1")("listVns"),
    tors.get("tor1")("listFdb", { vnId: 0 }),
  ]);
  const others = await Promise.all(
    ["tor2", "tor3"].map(async (name) => (await tors.get(name)("listVns")).vns),
  );
  const mappings = await pages(nva, "listMappings", "mappings");
  const nveOf = new Map(
    mappings.map(({ mac, locations }) => [
      mac.toString("hex"),
      locations.map(({ nveId }) => nveId),
    ]),
  );
  const torOf = (server) => `tor${1 + racks.findIndex((rack) => rack.includes(server))}`;
  const elsewhere = vnics.filter(
    ({ mac, to }) => `${nveOf.get(mac.replaceAll(":", ""))}` !== torOf(to),
  );
  const migrations = await pages(nva, "listMigrations", "migrations", {
    vnic: Buffer.alloc(0),
    running: true,
  });
  const claims = await pages(nva, "listClaims", "claims");
  return {
    notWhereTheyShouldBe: elsewhere.length,
    vnicsAtServer: atServer.length,
    vnicsAtSwitch: atSwitch.length,
    vnsAtSwitch: vns.length,
    addressesAtSwitch: entries.length,
    floodedTo: others
      .flat()
      .filter(({ remoteNves }) => remoteNves.some((nve) => nve.startsWith("tor1 "))).length,
    claims: claims.filter(({ source }) => source === "nve:tor1").length,
    migrations: migrations.length,
  };
}

async function pages(nva, method, of, more = {}) {
  const all = [];
  let pageToken = "";
  do {
    const page = await nva(method, { vn: undefined, ...more, pageSize: 500, pageToken });
    all.push(...page[of]);
    pageToken = page.nextPageToken;
  } while (pageToken !== "");
  return all;
}

/** Of the link between the source and its ToR: an answer that is given up costs its VNIC ten seconds (VDP's timers). */
async function ecpOf({ servers, tors }) {
  const { uplinks } = await servers.get(SOURCE)("status");
  const { ports } = await tors.get("tor1")("listPorts");
  const of = ({ counters }) =>
    Object.fromEntries(
      ["ecp.requests-out", "ecp.retransmitted", "ecp.given-up", "ecp.put-off"].map((name) => [
        name,
        Number(counters[name] ?? 0),
      ]),
    );
  return { server: of(uplinks[0]), switch: of(ports[0]) };
}

/** Processor time so far, of each program. */
const usage = (rig) =>
  new Map(
    ["nva", "tor1", "tor2", "tor3", SOURCE, "d1", PEER].map((node) => [
      node,
      cpuMs({ child: { pid: rig.pidOf(node) } }),
    ]),
  );
const since = (now, before) =>
  Object.fromEntries([...now].map(([node, ms]) => [node, ms - before.get(node)]));
