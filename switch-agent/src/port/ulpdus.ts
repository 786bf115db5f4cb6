import { type VdpTlv, vdpduOctets } from "@nve/protocol-spec";

/** What fits an ECPDU (spec/ecp.md). */
const ULPDU_OCTETS = 1493;
const MANAGER_TLV_OCTETS = 18;

/** As many ULPDUs as the TLVs need; each group in one piece. */
export function ulpdusOf(manager: Uint8Array, groups: readonly (readonly VdpTlv[])[]): VdpTlv[][] {
  const all: VdpTlv[][] = [];
  let room = 0;
  for (const tlvs of groups) {
    const octets = vdpduOctets({ manager, tlvs }).length - MANAGER_TLV_OCTETS;
    if (octets > room) {
      all.push([]);
      room = ULPDU_OCTETS - MANAGER_TLV_OCTETS;
    }
    all.at(-1)?.push(...tlvs);
    room -= octets;
  }
  return all;
}
