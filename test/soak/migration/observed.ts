import { call } from "@nve/program/rpc";
import { ipFrom, macFrom } from "@nve/protocol-spec";
import {
  ListClaimsRequest,
  ListMappingsRequest,
  ListMigrationsRequest,
  MigrationState,
  NveState,
} from "@nve/protocol-spec/proto/northbound";
import { torMaps } from "@nve/switch-agent/dataplane/ebpf/maps";
import { Meters } from "@nve/switch-agent/dataplane/ebpf/meters";
import { readIntents } from "@nve/switch-agent/dataplane/ebpf/read-back";
import { type Intent, placeKey } from "@nve/switch-agent/nve";
import { Facts } from "./facts.ts";
import { pinnedObject } from "./pinned.ts";
import { servers, tors } from "./plan.ts";
import type { Rig } from "./rig.ts";

/** The tag that each VNIC has been lent at each server, by `<vnic> <server>`. */
export type Tags = ReadonlyMap<string, number>;

/** All that agents, NVA and the kernel's maps say. @throws Refused when one does not answer */
export async function observe(rig: Rig): Promise<{ facts: Facts; tags: Tags }> {
  const facts = new Facts();
  const tags = new Map<string, number>();
  await Promise.all([
    ...servers.map(({ name }) => serverFacts(rig, name, facts, tags)),
    ...tors.map(({ name }) => torFacts(rig, name, facts)),
    nvaFacts(rig, facts),
  ]);
  for (const { name } of tors)
    mapFacts(pinnedObject(rig.pins(name)), name, await rig.ifindexes(name), facts);
  return { facts, tags };
}

async function serverFacts(rig: Rig, server: string, facts: Facts, tags: Map<string, number>) {
  const client = rig.servers.get(server);
  if (client === undefined) return;
  const { vnics } = await call(client, client.listVnics, {}, 5_000);
  for (const { vnic, interface: at, state, vns } of vnics) {
    for (const { vnId, tag, macs, stage = "active" } of vns) {
      tags.set(`${vnic} ${server}`, tag);
      const addresses = macs.map(({ mac, ips }) => `${mac} ${ips}`).join();
      facts.add(`${server} VNICs`, `${vnic} ${at} ${state} ${stage} VN ${vnId} ${addresses}`);
    }
  }
}

async function torFacts(rig: Rig, tor: string, facts: Facts): Promise<void> {
  const client = rig.tors.get(tor);
  if (client === undefined) return;
  const status = await call(client, client.status, {}, 5_000);
  facts.add(`${tor} state`, `${status.nvaState}, ${status.dataplaneState}`);
  const { vnics } = await call(client, client.listVnics, {}, 5_000);
  for (const { vnic, port, state, vns } of vnics)
    facts.add(
      `${tor} VNICs`,
      ...vns.map(({ vnId, tag }) => `${vnic} ${port} ${state} VN ${vnId} tag ${tag}`),
    );
  const { vns } = await call(client, client.listVns, {}, 5_000);
  for (const vn of vns) {
    const lent = vn.tags.map(({ port, tag, vnics }) => `${port}.${tag}×${vnics}`).sort();
    const others = [...vn.remoteNves].sort();
    const counts = `${vn.localMacs} here, ${vn.remoteMacs} elsewhere`;
    facts.add(`${tor} VNs`, `${vn.vnId} ${counts}, tags ${lent}, others ${others}`);
  }
  const { entries } = await call(client, client.listFdb, { vnId: 0 }, 5_000);
  for (const one of entries) {
    const at = one.where === "local" ? `${one.port}.${one.tag}` : `${one.nveId} ${one.vtep}`;
    const applied = one.applied ? "" : ", not applied";
    facts.add(`${tor} FDB`, `${one.vnId} ${one.mac} ${one.ips} ${one.where} ${at}${applied}`);
  }
}

async function nvaFacts({ nva }: Rig, facts: Facts): Promise<void> {
  const page = { pageSize: 1_000, pageToken: "" };
  const { mappings } = await call(nva, nva.listMappings, ListMappingsRequest.create(page), 5_000);
  for (const { vnId, mac, ips, locations, vnic, suspended, stale } of mappings) {
    const state = `${suspended ? " suspended" : ""}${stale ? " stale" : ""}`;
    const at = locations.map(({ nveId }) => nveId);
    const of = `${vnId} ${macFrom(mac)} ${ips.map(ipFrom)} ${uuidText(vnic)}`;
    facts.add("NVA mappings", `${of} at ${at}${state}`);
  }
  const { claims } = await call(nva, nva.listClaims, ListClaimsRequest.create(page), 5_000);
  for (const { source, claim, best, stale } of claims) {
    if (claim === undefined) continue;
    const state = `${best ? "" : " beaten"}${claim.suspended ? " suspended" : ""}${stale ? " stale" : ""}`;
    // Of a move between two ports of one NVE the NVA hears nothing (H20): port and hypervisor may be those before it.
    facts.add("NVA claims", `${claim.vnId} ${macFrom(claim.mac)} by ${source}${state}`);
  }
  const { nves } = await call(nva, nva.listNves, {}, 5_000);
  for (const { location, state, vnIds, claims } of nves) {
    const is = state === NveState.NVE_STATE_CONNECTED ? "connected" : "lost";
    facts.add("NVA NVEs", `${location?.nveId} ${is} VNs ${[...vnIds].sort()}, ${claims} claims`);
  }
  const request = ListMigrationsRequest.create({ ...page, running: true });
  const { migrations } = await call(nva, nva.listMigrations, request, 5_000);
  for (const { vnic, state, steps } of migrations) {
    const last = steps.slice(-3).map(({ what }) => what);
    facts.add("NVA migrations", `${uuidText(vnic)} ${MigrationState[state]}: ${last.join("; ")}`);
  }
  const { duplicates } = await call(nva, nva.listDuplicates, { vn: undefined }, 5_000);
  for (const { vnId, mac, frozen } of duplicates)
    if (frozen) facts.add("NVA duplicates", `${vnId} ${macFrom(mac)} frozen`);
}

/** What is pinned: as intents, and how many rows there are, read by no agent's word. */
export function mapFacts(
  object: ReturnType<typeof pinnedObject>,
  tor: string,
  names: ReadonlyMap<number, string>,
  facts: Facts,
): void {
  const maps = torMaps(object);
  const intents = readIntents(maps, (ifindex) => names.get(ifindex));
  for (const intent of intents) facts.add(`${tor} maps`, intentText(intent));
  const rows = (name: keyof typeof maps): number => {
    const map = maps[name];
    return "entries" in map ? [...map.entries()].length : 0;
  };
  for (const name of countedMaps) facts.add(`${tor} rows`, `${name}: ${rows(name)}`);
  const metered = [...Meters.named(maps).values()].filter(({ is }) => is === "vnic");
  facts.add(`${tor} rows`, `meters of VNICs: ${metered.length}`);
}

/** Whose number of rows follows from where VNICs are. */
export const countedMaps = [
  "access",
  "fdb",
  "vns",
  "flood",
  "peers",
  "neighbours",
  "sources",
  "sourceNets",
] as const;

export function intentText(intent: Intent): string {
  switch (intent.is) {
    case "vn":
      return `VN ${intent.vni}: to all: ${intent.flood.map(placeKey).sort()}`;
    case "access":
      return `${intent.port}.${intent.vid} is VN ${intent.vni}`;
    case "mac": {
      const { vni, mac, at, ips = [], vnic, moved } = intent;
      const of = `${vnic === undefined ? "" : ` of ${vnic}`}${moved ? " moved" : ""}`;
      return `${vni} ${mac} ${ips}${of} at ${placeKey(at)}`;
    }
  }
}

const uuidText = (octets: Uint8Array): string =>
  Buffer.from(octets)
    .toString("hex")
    .replace(/^(.{8})(.{4})(.{4})(.{4})/, "$1-$2-$3-$4-");
