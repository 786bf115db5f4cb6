import { turn } from "@nve/linux/turn";
import { mappingOctets, memberOctets, OutOfRange, VnId } from "@nve/protocol-spec";
import type { DigestsRequest, DigestsResponse } from "@nve/protocol-spec/proto/nve";
import { Digests, type VnDigest } from "../authority/digest.ts";
import { toLocation, toMapping } from "./convert.ts";
import type { Hub } from "./hub.ts";

/** VNs in one request. */
const vnLimit = 1_000;
/** Digests made at a time, of some 10 microseconds each: others wait meanwhile. */
const portion = 500;

/** Made of what NVEs are told, octet by octet. */
export const newDigests = (): Digests =>
  new Digests({
    mapping: (mapping) => mappingOctets(toMapping(mapping)),
    member: (vnId, location) => memberOctets(vnId, toLocation(location)),
  });

/** What these VNs come to at one revision. @throws OutOfRange for a request that cannot be */
export async function digestsOf(hub: Hub, request: DigestsRequest): Promise<DigestsResponse> {
  const { digests, keeper } = hub;
  if (request.vnIds.length > vnLimit)
    throw new OutOfRange(`vn_ids: ${request.vnIds.length} VNs, not ${vnLimit} at most`);
  const vnIds = [...new Set(request.vnIds.map(VnId))];
  for (const vnId of vnIds) {
    const advance = () => keeper.ask((all) => digests.advance(all, vnId, portion));
    while ((await advance()) === "later") await turn();
  }
  // What changed since is little: all of them at once.
  return keeper.ask((all) => ({
    digests: vnIds.flatMap((vnId) => {
      const digest = digests.advance(all, vnId, Number.POSITIVE_INFINITY);
      return digest === undefined || digest === "later" ? [] : [toWire(vnId, digest)];
    }),
    revision: BigInt(keeper.revision),
  }));
}

const toWire = (vnId: VnId, digest: VnDigest) => ({ vnId, ...digest });
