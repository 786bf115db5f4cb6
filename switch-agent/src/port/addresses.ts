import {
  addressesOf,
  prefixesOf,
  type VdpTlv,
  type VsiAddress,
  type VsiId,
} from "@nve/protocol-spec";

/** Addresses and prefixes of a VSI, the whole set; undefined when its request says nothing of them. */
export function allAddresses(
  vsiId: VsiId,
  tlvs: readonly VdpTlv[],
): readonly VsiAddress[] | undefined {
  const single = addressesOf(vsiId, tlvs)?.entries;
  const prefixes = prefixesOf(vsiId, tlvs);
  return single === undefined && prefixes.length === 0
    ? undefined
    : [...(single ?? []), ...prefixes];
}
