import {
  concat,
  NVE_OUI,
  OurSubtype,
  sameOctets,
  type Vdpdu,
  type VdpTlv,
} from "@nve/protocol-spec";

/** A VDPDU that waits for its turn, as the octets of its ULPDU; `vsis`: of whom it speaks, as `vsisOf`. */
export type Outgoing = {
  octets: Uint8Array;
  manager: Uint8Array;
  vsis: readonly string[];
  undelivered: () => void;
};

export const outgoing = (vdpdu: Vdpdu, octets: Uint8Array, undelivered: () => void): Outgoing => ({
  octets,
  manager: vdpdu.manager,
  vsis: vsisOf(vdpdu),
  undelivered,
});

/** Of every ULPDU: the manager TLV that is in front. */
const MANAGER_TLV_OCTETS = 18;

/**
 * The first of those that wait, and with it those that come next, as long as one ULPDU holds them: one ECPDU is under
 * way at a time (802.1Q clause 43), and what came to wait for it need not wait for each other. Not together go two
 * that speak of the same VSI, for what stands beside an association speaks of it by its VSI alone.
 */
export function together(waiting: readonly Outgoing[], maxOctets: number): readonly Outgoing[] {
  const [first] = waiting;
  if (first === undefined || first.vsis.length === 0) return waiting.slice(0, 1);
  const vsis = new Set(first.vsis);
  let octets = first.octets.length;
  let count = 1;
  for (let next = waiting[count]; next !== undefined; next = waiting[++count]) {
    octets += next.octets.length - MANAGER_TLV_OCTETS;
    const fits = octets <= maxOctets && sameOctets(next.manager, first.manager);
    if (!fits || next.vsis.length === 0 || next.vsis.some((vsi) => vsis.has(vsi))) break;
    for (const vsi of next.vsis) vsis.add(vsi);
  }
  return waiting.slice(0, count);
}

/** All in one: the TLVs of the others behind those of the first. */
export const joined = ([first, ...others]: readonly [Outgoing, ...Outgoing[]]): Uint8Array =>
  others.length === 0
    ? first.octets
    : concat(first.octets, ...others.map(({ octets }) => octets.subarray(MANAGER_TLV_OCTETS)));

/** Of its associations; none where something in it counts for a whole ULPDU, or is not known. */
function vsisOf({ tlvs }: Vdpdu): readonly string[] {
  if (!tlvs.every(isOfOneVsi)) return [];
  return tlvs.flatMap((tlv) => (tlv.is === "association" ? keyOf(tlv) : []));
}

const isOfOneVsi = (tlv: VdpTlv): boolean =>
  tlv.is === "association" ||
  (tlv.is === "organizational" && tlv.oui === NVE_OUI && BESIDE.has(tlv.subtype));

/** Our TLVs that say the whole of something of one VSI. */
const BESIDE: ReadonlySet<number> = new Set([
  OurSubtype.addresses,
  OurSubtype.reason,
  OurSubtype.names,
  OurSubtype.mtus,
  OurSubtype.labels,
  OurSubtype.prefixes,
  OurSubtype.macs,
]);

const keyOf = ({ association: { vsiId } }: VdpTlv & { is: "association" }): string =>
  String.fromCharCode(vsiId.format, ...vsiId.octets);
