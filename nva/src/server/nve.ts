import type grpc from "@grpc/grpc-js";
import { NotFound, type Service, unary } from "@nve/program";
import { isGroup, NveId, OutOfRange, VnId } from "@nve/protocol-spec";
import {
  type AdmitRequest,
  type AdmitResponse,
  DenialCode,
  type LookupRequest,
  type LookupResponse,
  type NvaMessage,
  type NveMessage,
  NveService,
} from "@nve/protocol-spec/proto/nve";
import type { Authority } from "../authority/authority.ts";
import type { Mapping } from "../authority/records.ts";
import { fromIp, fromMac, fromPrefix, fromUuid, toMapping, toVn } from "./convert.ts";
import type { Hub } from "./hub.ts";
import { Session } from "./session.ts";
import { type WatchCall, Watcher } from "./watcher.ts";

/** How long "no such address" holds: soon after, somebody may have claimed it. */
const noneLifetimeMs = 5_000;

/** What NVEs talk to (A16). */
export function nveService(hub: Hub): Service {
  return {
    // Watch events come encoded: one change is encoded once for all who watch.
    definition: {
      ...NveService,
      watch: { ...NveService.watch, responseSerialize: (event: Buffer) => event },
    } as grpc.ServiceDefinition,
    implementation: {
      connect: (call: grpc.ServerDuplexStream<NveMessage, NvaMessage>) => {
        new Session(call, hub);
      },
      watch: (call: WatchCall) => {
        new Watcher(call, hub);
      },
      admit: unary((request: AdmitRequest) => hub.keeper.ask((all) => admit(all, request))),
      lookup: unary((request: LookupRequest) =>
        hub.keeper.ask((all) => lookup(all, request, hub.keeper.revision)),
      ),
    },
  };
}

function admit(authority: Authority, request: AdmitRequest): AdmitResponse {
  NveId(request.nveId);
  if (request.vnic.length > 0) fromUuid(request.vnic, "vnic");
  const macs = request.addresses.map(({ mac, ips, prefixes }) => {
    ips.forEach(fromIp);
    prefixes.forEach(fromPrefix);
    return fromMac(mac);
  });
  const [vn, asked] = wanted(authority, request.vn);
  if (vn === undefined)
    return denied(
      DenialCode.DENIAL_CODE_NO_SUCH_VN,
      `no VN with ${asked}: create it with \`nva vn create\`, or correct the request`,
    );
  const group = macs.find(isGroup);
  if (group !== undefined)
    return denied(DenialCode.DENIAL_CODE_ADDRESS, `${group} is a group address: no VNIC has it`);
  return { verdict: { $case: "granted", value: toVn(vn.vn, vn.revision) } };
}

function wanted(authority: Authority, vn: AdmitRequest["vn"]) {
  if (vn === undefined) throw new OutOfRange("vn: neither VN ID nor VN Name");
  if (vn.$case === "vnId") {
    const vnId = VnId(vn.value);
    return [authority.vn(vnId), `VN ID ${vnId}`] as const;
  }
  const name = fromUuid(vn.value, "vn_name");
  return [authority.vnByName(name), `the name ${name}`] as const;
}

const denied = (code: DenialCode, reason: string): AdmitResponse => ({
  verdict: { $case: "denied", value: { code, reason } },
});

function lookup(authority: Authority, request: LookupRequest, revision: number): LookupResponse {
  const vnId = VnId(request.vnId);
  const find = finder(vnId, request.address);
  if (authority.vn(vnId) === undefined) throw new NotFound(`no VN with VN ID ${vnId}`);
  const found = find(authority);
  return {
    answer:
      found === undefined
        ? { $case: "none", value: { lifetimeMs: noneLifetimeMs } }
        : { $case: "found", value: toMapping(found) },
    revision: BigInt(revision),
  };
}

function finder(
  vnId: VnId,
  address: LookupRequest["address"],
): (authority: Authority) => Mapping | undefined {
  if (address === undefined) throw new OutOfRange("address: neither MAC nor IP address");
  if (address.$case === "mac") {
    const mac = fromMac(address.value);
    return (authority) => authority.mapping(vnId, mac);
  }
  const ip = fromIp(address.value);
  return (authority) => authority.lookup(vnId, ip);
}
