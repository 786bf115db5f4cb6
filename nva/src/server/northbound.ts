import { randomUUID } from "node:crypto";
import { NotFound, Refused, type Service, unary } from "@nve/program";
import { type IpPrefix, Mac, OutOfRange, Uuid, VnId, Vni } from "@nve/protocol-spec";
import type * as wire from "@nve/protocol-spec/proto/northbound";
import { NorthboundService, NveState } from "@nve/protocol-spec/proto/northbound";
import type { Vn } from "@nve/protocol-spec/proto/types";
import type { Authority } from "../authority/authority.ts";
import type { VnWish } from "../authority/vn-book.ts";
import type { VnState } from "../authority/vn-state.ts";
import { fromText, fromUuid, toClaim, toLocation, toMapping, toUuid, toVn } from "./convert.ts";
import type { Hub } from "./hub.ts";
import { octetsOf } from "./size.ts";

/** About the octets of one page: a gRPC message has 4 MB at most if its reader sets no other limit. */
const pageOctets = 1_000_000;

/** What orchestration and the CLI talk to (A13, P1). */
export function northboundService(hub: Hub): Service {
  const { keeper } = hub;
  return {
    definition: NorthboundService,
    implementation: {
      createVn: unary((request: wire.CreateVnRequest) => createVn(hub, request)),
      getVn: unary((ref: wire.VnRef) => keeper.ask((all) => wireVn(vnOf(all, ref)))),
      listVns: unary((request: wire.ListVnsRequest) => keeper.ask((all) => listVns(all, request))),
      deleteVn: unary((request: wire.DeleteVnRequest) => deleteVn(hub, request)),
      listNves: unary((_: wire.ListNvesRequest) => keeper.ask((all) => listNves(all, hub))),
      listMappings: unary((request: wire.ListMappingsRequest) =>
        keeper.ask((all) => listMappings(all, request)),
      ),
      listClaims: unary((request: wire.ListClaimsRequest) =>
        keeper.ask((all) => listClaims(all, request)),
      ),
      status: unary((_: wire.StatusRequest) => keeper.ask((all) => status(all, hub))),
    },
  };
}

async function createVn({ keeper, log }: Hub, request: wire.CreateVnRequest): Promise<Vn> {
  const wish = wishOf(request);
  const { result, revision } = await keeper.change((authority) => authority.createVn(wish));
  if ("refused" in result) throw new Refused(result.refused);
  log.info({ vn: result.vnId, alias: result.alias, vni: result.vni }, "VN created");
  return toVn(result, revision);
}

function wishOf({ alias, tenant, name, vnId, vni, mtu }: wire.CreateVnRequest): VnWish {
  if (fromText(alias, "alias").trim() === "") throw new OutOfRange("alias: a VN needs one");
  if (mtu !== 0 && (mtu < 68 || mtu > 65_535))
    throw new OutOfRange(`mtu: ${mtu} is not in 68..65535`); // RFC 791: IPv4 needs 68
  return {
    alias,
    tenant: fromText(tenant, "tenant") || "default",
    name: name.length === 0 ? Uuid(randomUUID()) : fromUuid(name, "name"),
    ...(vnId === 0 ? {} : { vnId: VnId(vnId) }),
    ...(vni === undefined ? {} : { vni: Vni(vni) }),
    mtu,
  };
}

async function deleteVn(
  { keeper, log }: Hub,
  { vn: ref, force }: wire.DeleteVnRequest,
): Promise<wire.DeleteVnResponse> {
  const vnId = await keeper.ask((all) => vnOf(all, ref).vn.vnId);
  const { result, revision } = await keeper.change((all) => all.deleteVn(vnId, force));
  if ("refused" in result) throw new Refused(result.refused);
  log.info({ vn: vnId, alias: result.alias, force }, "VN deleted");
  return { revision: BigInt(revision) };
}

function listVns(authority: Authority, request: wire.ListVnsRequest): wire.ListVnsResponse {
  const after = request.pageToken === "" ? 0 : tokenVn(request.pageToken);
  const rest = authority.vns().filter(({ vn }) => vn.vnId > after);
  const page = rest.slice(0, pageSize(request.pageSize));
  const last = page.at(-1);
  return {
    vns: page.map(wireVn),
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

const wireVn = ({ vn, revision }: VnState): Vn => toVn(vn, revision);

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
      return [byAlias(authority, fromText(ref.value, "alias")), `the alias "${ref.value}"`];
    case undefined:
      throw new OutOfRange("vn: neither VN ID nor name nor alias");
  }
}

/** `tenant/alias`, or an alias that one tenant only has. @throws Refused when several have it */
function byAlias(authority: Authority, text: string): VnState | undefined {
  const [tenant = "", ...rest] = text.split("/");
  const exact = authority.vnByAlias("default", text) ?? authority.vnByAlias(tenant, rest.join("/"));
  if (exact !== undefined) return exact;
  const [first, ...more] = authority.vns().filter(({ vn }) => vn.alias === text);
  if (more.length > 0)
    throw new Refused(`several tenants have a VN "${text}": write tenant/${text}, or its VN ID`);
  return first;
}

function pageSize(size: number): number {
  if (size > 1000) throw new OutOfRange(`page_size: ${size} is above 1000`);
  return size === 0 ? 100 : size;
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
