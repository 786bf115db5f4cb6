import type grpc from "@grpc/grpc-js";
import { NotFound, type Service, unary } from "@nve/program";
import { OutOfRange, VnId } from "@nve/protocol-spec";
import {
  type AdmitRequest,
  type DigestsRequest,
  type LookupRequest,
  type LookupResponse,
  type NvaMessage,
  type NveMessage,
  NveService,
} from "@nve/protocol-spec/proto/nve";
import type { Authority } from "../authority/authority.ts";
import type { Mapping } from "../authority/records.ts";
import { admit } from "./admit.ts";
import { fromIp, fromMac, toMapping } from "./convert.ts";
import { digestsOf } from "./digest.ts";
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
      digests: unary((request: DigestsRequest) => digestsOf(hub, request)),
      admit: unary((request: AdmitRequest) => admit(hub, request)),
      lookup: unary((request: LookupRequest) =>
        hub.keeper.ask((all) => lookup(all, request, hub.keeper.revision)),
      ),
    },
  };
}

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
