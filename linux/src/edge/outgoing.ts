import { NVE_OUI, OurSubtype, sameOctets, type Vdpdu, type VdpTlv } from "@nve/protocol-spec";

/** A VDPDU that waits for its turn; `octets` of its ULPDU. */
export type Outgoing = { vdpdu: Vdpdu; octets: number; undelivered: () => void };

/** Of every ULPDU: the manager TLV that is in front. */
const MANAGER_TLV_OCTETS = 18;

/**
 * The first of those that wait, and with it those that come next, as long as one ULPDU holds them: one ECPDU is under
 * way at a time (802.1Q clause 43), and what came to wait for it need not wait for each other. Not together go two
 * that speak of the same VSI, for what stands beside an association speaks of it by its VSI alone.
 */
export function together(waiting: readonly Outgoing[], maxOctets: number): readonly Outgoing[] {
  const [first, ...others] = waiting;
  const vsis = new Set(first === undefined ? [] : vsisOf(first.vdpdu));
  if (first === undefined || vsis.size === 0) return waiting.slice(0, 1);
  const all = [first];
  let octets = first.octets;
  for (const next of others) {
    octets += next.octets - MANAGER_TLV_OCTETS;
    const more = octets > maxOctets ? [] : vsisOf(next.vdpdu);
    const same = sameOctets(next.vdpdu.manager, first.vdpdu.manager);
    if (!same || more.length === 0 || more.some((vsi) => vsis.has(vsi))) break;
    for (const vsi of more) vsis.add(vsi);
    all.push(next);
  }
  return all;
}

/** All in one. */
export const joined = ([first, ...others]: readonly [Vdpdu, ...Vdpdu[]]): Vdpdu =>
  others.length === 0
    ? first
    : { manager: first.manager, tlvs: [first, ...others].flatMap(({ tlvs }) => [...tlvs]) };

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
  `${vsiId.format} ${Buffer.from(vsiId.octets).toString("latin1")}`;
