import {
  type Association,
  addressesOf,
  type Filters,
  macsOf,
  prefixesOf,
  sameHash,
  setOf,
  VdpError,
  type VdpTlv,
  type VsiId,
  type VsiMac,
  type VsiSet,
} from "@nve/protocol-spec";
import type { Refusal } from "@nve/switch-agent/nve";
import { isRefusal, type Said, tooManyIn } from "./sets.ts";

/**
 * What a request says of its VSI besides the filter entries: beside it, or by naming a set that is one of `known` or
 * comes from `take`.
 */
export function saidBeside(
  vsiId: VsiId,
  tlvs: readonly VdpTlv[],
  known: readonly Said[],
  take: (set: VsiSet) => Said | Refusal | undefined,
): Said | Refusal | undefined {
  const set = setOf(vsiId, tlvs);
  if (set?.part !== 0) return { addresses: allAddresses(vsiId, tlvs), macs: macsOf(vsiId, tlvs) };
  return known.find((said) => said.set !== undefined && sameHash(said.set, set)) ?? take(set);
}

/** A request with all that is said with it, if it can be taken. @param max addresses of one VSI */
export function wholeOf(
  association: Association,
  said: Said | Refusal,
  max: number,
): { association: Association; said: Said } | Refusal {
  if (isRefusal(said)) return said;
  const refusal = tooManyIn(said, max);
  if (refusal !== undefined) return refusal;
  const whole = withMacs(association, said.macs);
  return isRefusal(whole) ? whole : { association: whole, said };
}

/** The MACs that were said besides as filter entries: so they are decided with them. */
function withMacs(association: Association, macs: readonly VsiMac[]): Association | Refusal {
  const { filters } = association;
  if (macs.length === 0) return association;
  if (filters.by !== "group-mac-vid") {
    const reason = "MACs besides the filter entries go with filter info format 4 only";
    return { code: VdpError.invalidFormat, hard: true, reason };
  }
  const groups = new Set(filters.entries.map(({ groupId }) => groupId));
  const lost = macs.find(({ groupId }) => !groups.has(groupId));
  if (lost !== undefined) {
    const reason = `MAC ${lost.mac} is in GroupID ${lost.groupId}, which no filter entry has`;
    return { code: VdpError.invalidVidGroupOrMac, hard: true, reason };
  }
  return { ...association, filters: { by: filters.by, entries: [...filters.entries, ...macs] } };
}

/** The filters of a request alone, without the MACs that were said besides: what an answer repeats. */
export function firstOf(filters: Filters, count: number): Filters {
  switch (filters.by) {
    case "group-mac-vid":
      return { by: filters.by, entries: filters.entries.slice(0, count) };
    default:
      return filters;
  }
}

/** Addresses and prefixes of a VSI, the whole set; undefined when its request says nothing of them. */
function allAddresses(vsiId: VsiId, tlvs: readonly VdpTlv[]): Said["addresses"] {
  const single = addressesOf(vsiId, tlvs)?.entries;
  const prefixes = prefixesOf(vsiId, tlvs);
  return single === undefined && prefixes.length === 0
    ? undefined
    : [...(single ?? []), ...prefixes];
}
