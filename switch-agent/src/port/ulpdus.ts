import { SEAL_OCTETS, type VdpTlv, vdpduLength } from "@nve/protocol-spec";

/** What fits an ECPDU (spec/ecp.md), with a seal where there are keys. */
const ULPDU_OCTETS = 1493 - SEAL_OCTETS;
const MANAGER_TLV_OCTETS = 18;

/**
 * As many ULPDUs as the TLVs need; each group in one piece. Of a group that is longer than one holds its last TLVs are
 * left out: what is said beside an association comes after it, and what matters least comes last.
 */
export function ulpdusOf(manager: Uint8Array, groups: readonly (readonly VdpTlv[])[]): VdpTlv[][] {
  const all: VdpTlv[][] = [];
  let room = 0;
  for (const group of groups) {
    const tlvs = fitting(manager, group);
    const octets = sizeOf(manager, tlvs);
    if (octets > room) {
      all.push([]);
      room = ULPDU_OCTETS - MANAGER_TLV_OCTETS;
    }
    all.at(-1)?.push(...tlvs);
    room -= octets;
  }
  return all;
}

function fitting(manager: Uint8Array, tlvs: readonly VdpTlv[]): readonly VdpTlv[] {
  const isTooLong = sizeOf(manager, tlvs) > ULPDU_OCTETS - MANAGER_TLV_OCTETS;
  return isTooLong ? fitting(manager, tlvs.slice(0, -1)) : tlvs;
}

const sizeOf = (manager: Uint8Array, tlvs: readonly VdpTlv[]): number =>
  vdpduLength({ manager, tlvs }) - MANAGER_TLV_OCTETS;
