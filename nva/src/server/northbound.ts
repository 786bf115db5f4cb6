import { NotFound, Refused, type Service, unary } from "@nve/program";
import { type IpPrefix, Mac, OutOfRange, VnId, Vni } from "@nve/protocol-spec";
import type * as wire from "@nve/protocol-spec/proto/northbound";
import { NorthboundService, NveState } from "@nve/protocol-spec/proto/northbound";
import type { Vn } from "@nve/protocol-spec/proto/types";
import type { Authority } from "../authority/authority.ts";
import { defaultTenant } from "../authority/catalogue.ts";
import type { VnState } from "../authority/vn-state.ts";
import { faultsIn } from "../catalogue/check.ts";
import { createVn as create, remove } from "../catalogue/decide.ts";
import { findByAlias } from "../catalogue/find.ts";
import type { VnWish } from "../catalogue/wish.ts";
import { fromUuid, toClaim, toClaimStandby, toLocation, toMapping, toUuid } from "./convert.ts";
import { toNorthboundVn } from "./convert-vn.ts";
import { clearDuplicate, listDuplicates } from "./duplicates.ts";
import {
  actedBy,
  acting,
  type Caller,
  type FollowCall,
  followEvents,
  listEvents,
} from "./events.ts";
import type { Hub } from "./hub.ts";
import { type FollowMigrationCall, followMigration, listMigrations } from "./migrations.ts";
import {
  applyResources,
  declinedError,
  deleteResource,
  freshName,
  getResource,
  listResources,
  pageSize,
  putResource,
} from "./resources.ts";
import { octetsOf } from "./size.ts";

/** About the octets of one page: a gRPC message has 4 MB at most if its reader sets no other limit. */
const pageOctets = 1_000_000;

/** What orchestration and the CLI talk to (A13, P1). */
export function northboundService(hub: Hub): Service {
  const { keeper } = hub;
  return {
    definition: NorthboundService,
    implementation: {
      createVn: acting((request: wire.CreateVnRequest, caller) => createVn(hub, request, caller)),
      getVn: unary((ref: wire.VnRef) => keeper.ask((all) => wireVn(all, vnOf(all, ref)))),
      listVns: unary((request: wire.ListVnsRequest) => keeper.ask((all) => listVns(all, request))),
      deleteVn: acting((request: wire.DeleteVnRequest, caller) => deleteVn(hub, request, caller)),
      listNves: unary((_: wire.ListNvesRequest) => keeper.ask((all) => listNves(all, hub))),
      listMappings: unary((request: wire.ListMappingsRequest) =>
        keeper.ask((all) => listMappings(all, request)),
      ),
      listClaims: unary((request: wire.ListClaimsRequest) =>
        keeper.ask((all) => listClaims(all, request)),
      ),
      putResource: acting((request: wire.PutResourceRequest, caller) =>
        putResource(hub, request, caller),
      ),
      getResource: unary((key: wire.ResourceKey) => keeper.ask((all) => getResource(all, key))),
      listResources: unary((request: wire.ListResourcesRequest) =>
        keeper.ask((all) => listResources(all, request)),
      ),
      deleteResource: acting((request: wire.DeleteResourceRequest, caller) =>
        deleteResource(hub, request, caller),
      ),
      apply: acting((request: wire.ApplyRequest, caller) => applyResources(hub, request, caller)),
      listDuplicates: unary((request: wire.ListDuplicatesRequest) =>
        keeper.ask((all) => listDuplicates(all, request, vnOf)),
      ),
      clearDuplicate: acting((request: wire.ClearDuplicateRequest, caller) =>
        clearDuplicate(hub, request, caller, vnOf),
      ),
      listMigrations: unary((request: wire.ListMigrationsRequest) =>
        keeper.ask((all) => listMigrations(all, request, vnOf)),
      ),
      followMigration: (call: FollowMigrationCall) => followMigration(call, hub),
      listEvents: unary((request: wire.ListEventsRequest) => listEvents(hub, request)),
      followEvents: (call: FollowCall) => {
        followEvents(call, hub);
      },
      status: unary((_: wire.StatusRequest) => keeper.ask((all) => status(all, hub))),
    },
  };
}

async function createVn(
  { keeper, log }: Hub,
  request: wire.CreateVnRequest,
  caller: Caller,
): Promise<Vn> {
  const wish = wishOf(request);
  const { result, revision } = await keeper.change(
    actedBy(caller, (all, now) => create(all, wish, now)),
  );
  if ("declined" in result) throw declinedError(result);
  log.info(
    { vn: result.vnId, alias: result.alias, vni: result.vni, actor: caller.name },
    "VN created",
  );
  return toNorthboundVn(result, revision, undefined);
}

function wishOf({ alias, tenant, name, vnId, vni, mtu }: wire.CreateVnRequest): VnWish {
  const wish = {
    alias,
    tenant: tenant || defaultTenant,
    ...(name.length > 0 && { name: fromUuid(name, "name") }),
    fresh: freshName(),
    ...(vnId !== 0 && { vnId: VnId(vnId) }),
    ...(vni !== undefined && { vni: Vni(vni) }),
    mtu,
    service: "l2" as const,
    flood: "head-end" as const,
  };
  const faults = faultsIn({ kind: "vn", wish });
  if (faults.length > 0) throw new OutOfRange(faults.join("; "));
  return wish;
}

async function deleteVn(
  { keeper, log }: Hub,
  { vn: ref, force }: wire.DeleteVnRequest,
  caller: Caller,
): Promise<wire.DeleteVnResponse> {
  const { vn } = await keeper.ask((all) => vnOf(all, ref));
  const which = { kind: "vn" as const, name: String(vn.vnId) };
  const { result, revision } = await keeper.change(
    actedBy(caller, (all, now) => remove(all, which, { force }, now)),
  );
  if ("declined" in result) throw declinedError(result);
  log.info({ vn: vn.vnId, alias: vn.alias, force, actor: caller.name }, "VN deleted");
  return { revision: BigInt(revision) };
}

function listVns(authority: Authority, request: wire.ListVnsRequest): wire.ListVnsResponse {
  const after = request.pageToken === "" ? 0 : tokenVn(request.pageToken);
  const rest = authority.vns().filter(({ vn }) => vn.vnId > after);
  const page = rest.slice(0, pageSize(request.pageSize));
  const last = page.at(-1);
  return {
    // Of profiles the names only: a page of long ones would be too long.
    vns: page.map(({ vn, revision }) => toNorthboundVn(vn, revision, undefined)),
    nextPageToken: last === undefined || page.length === rest.length ? "" : String(last.vn.vnId),
  };
}

function listNves(authority: Authority, { clock, applied }: Hub): wire.ListNvesResponse {
  const nves = [...authority.nves()].map((nve) => {
    const { location, connected } = nve.row;
    const sinceUnixMs = BigInt(Math.round(Date.now() - (clock.now() - nve.since)));
    return {
      location: toLocation(location),
      state: connected ? NveState.NVE_STATE_CONNECTED : NveState.NVE_STATE_STALE,
      sinceUnixMs,
      vnIds: [...nve.members.keys()].sort((a, b) => a - b),
      claims: nve.claims,
      appliedRevision: applied.get(location.nveId) ?? 0n,
    };
  });
  return { nves: nves.sort((a, b) => (a.location.nveId < b.location.nveId ? -1 : 1)) };
}

function listMappings(
  authority: Authority,
  request: wire.ListMappingsRequest,
): wire.ListMappingsResponse {
  const { rows, nextPageToken } = pageOf(authority, request, (vn, mac) => {
    const mapping = vn.mapping(mac);
    return mapping === undefined ? [] : [mapping];
  });
  return { mappings: rows.map(toMapping), nextPageToken };
}

function listClaims(
  authority: Authority,
  request: wire.ListClaimsRequest,
): wire.ListClaimsResponse {
  const { rows, nextPageToken } = pageOf(authority, request, (vn, mac) =>
    [...vn.claimsFor(mac)].map((held) => ({ ...held, ips: held.claim.ips })),
  );
  const claims = rows.map(({ claim, best, stale }) => ({
    source: claim.source,
    claim: toClaim(claim),
    standby: toClaimStandby(claim),
    best,
    stale,
  }));
  return { claims, nextPageToken };
}

type PageRequest = { vn?: wire.VnRef | undefined; pageSize: number; pageToken: string };

/** What there is of addresses, in the order of VN IDs and MACs: as many addresses as asked for and as fit a message. */
function pageOf<Row extends { ips: readonly IpPrefix[] }>(
  authority: Authority,
  request: PageRequest,
  rowsOf: (vn: VnState, mac: Mac) => Row[],
): { rows: Row[]; nextPageToken: string } {
  const left = { addresses: pageSize(request.pageSize), octets: pageOctets };
  const [fromVn, fromMac] = tokenMapping(request.pageToken);
  const vns = request.vn === undefined ? authority.vns() : [vnOf(authority, request.vn)];
  const rows: Row[] = [];
  let last = "";
  for (const vn of vns) {
    const { vnId } = vn.vn;
    if (vnId < fromVn) continue;
    const after = vnId === fromVn ? fromMac : "";
    for (const mac of [...vn.macs()].filter((one) => one > after).sort()) {
      const found = rowsOf(vn, mac);
      if (found.length === 0) continue;
      if (left.addresses <= 0 || left.octets <= 0) return { rows, nextPageToken: last };
      for (const { ips } of found) left.octets -= octetsOf(ips.length, 1);
      left.addresses -= 1;
      last = `${vnId}/${mac}`;
      rows.push(...found);
    }
  }
  return { rows, nextPageToken: "" };
}

function status(authority: Authority, hub: Hub): wire.NvaStatus {
  const nves = [...authority.nves()];
  const connected = nves.filter(({ row }) => row.connected).length;
  const { store, revision } = hub.keeper;
  return {
    nvaId: hub.id,
    version: hub.version,
    store: store.kind,
    storeId: toUuid(store.id),
    revision: BigInt(revision),
    vns: authority.vnCount,
    nvesConnected: connected,
    nvesStale: nves.length - connected,
    claims: authority.claimCount,
    watchers: hub.watchers.count,
    startedUnixMs: BigInt(hub.startedUnixMs),
    certificateValidToUnixMs: BigInt(hub.tls?.current.notAfter ?? 0),
    certificateFault: hub.tls?.fault ?? "",
  };
}

const wireVn = ({ catalogue }: Authority, { vn, revision }: VnState): Vn =>
  toNorthboundVn(vn, revision, catalogue.profileOf(vn));

/** @throws NotFound that names what was asked for */
function vnOf(authority: Authority, { ref }: wire.VnRef = { ref: undefined }): VnState {
  const [vn, asked] = sought(authority, ref);
  if (vn === undefined)
    throw new NotFound(`no VN with ${asked}: \`nva vn list\` shows what there is`);
  return vn;
}

function sought(authority: Authority, ref: wire.VnRef["ref"]): [VnState | undefined, string] {
  switch (ref?.$case) {
    case "vnId":
      return [authority.vn(VnId(ref.value)), `VN ID ${ref.value}`];
    case "name": {
      const name = fromUuid(ref.value, "name");
      return [authority.vnByName(name), `the name ${name}`];
    }
    case "alias":
      return [byAlias(authority, ref.value), `the alias "${ref.value}"`];
    case undefined:
      throw new OutOfRange("vn: neither VN ID nor name nor alias");
  }
}

/** @throws Refused when several have it */
function byAlias(authority: Authority, text: string): VnState | undefined {
  const found = findByAlias(authority.catalogue, text);
  if (found === undefined) return undefined;
  if ("refused" in found) throw new Refused(found.refused);
  return authority.vn(found.vnId);
}

function tokenVn(token: string): number {
  if (!/^\d{1,8}$/.test(token)) throw new OutOfRange("page_token: not one of this server's");
  return Number(token);
}

function tokenMapping(token: string): [number, string] {
  if (token === "") return [0, ""];
  const [vnId = "", mac = ""] = token.split("/");
  return [tokenVn(vnId), Mac(mac)];
}
