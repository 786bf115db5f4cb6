import {
  type Association,
  type ExtensionKind,
  type Lldpdu,
  type Mac,
  mtuTlvs,
  type Neighbour,
  readsOurs,
  reasonTlv,
  type VdpTlv,
  type VnId,
} from "@nve/protocol-spec";
import { neighbourOf } from "./names.ts";
import { once } from "./once.ts";
import { vnsIn } from "./vn-names.ts";

/** TLVs of our own beside what a station is told: each kind only to one that reads it (protocol-spec). */
const SENT: readonly ExtensionKind[] = ["reasons", "mtus"];

/** What a neighbour goes without. */
export const withoutFor = ({ lldpdu }: Neighbour): readonly ExtensionKind[] =>
  SENT.filter((kind) => !readsOurs(lldpdu.tlvs).has(kind));

/** In words, why a VSI is refused or disconnected. */
export function reasonBeside(
  neighbours: readonly Neighbour[],
  station: Mac,
  { vsiId, status: { code } }: Association,
  text: string,
): VdpTlv[] {
  return reads(neighbours, station, "reasons") ? [reasonTlv({ vsiId, code, text })] : [];
}

/** The MTU of each VN that is in force, as far as it is known. */
export function mtusBeside(
  neighbours: readonly Neighbour[],
  station: Mac,
  { vsiId, filters }: Association,
  mtuOf: (vn: VnId) => number | undefined,
): VdpTlv[] {
  if (!reads(neighbours, station, "mtus")) return [];
  const entries = vnsIn(filters).flatMap((vn) => {
    const mtu = mtuOf(vn);
    return mtu === undefined ? [] : [{ vn, mtu }];
  });
  return entries.length === 0 ? [] : mtuTlvs({ vsiId, entries });
}

function reads(neighbours: readonly Neighbour[], station: Mac, kind: ExtensionKind): boolean {
  const neighbour = neighbourOf(neighbours, station);
  return neighbour !== undefined && readBy(neighbour.lldpdu).has(kind);
}

const readBy = once(({ tlvs }: Lldpdu) => readsOurs(tlvs));
