import { VdpError, type VnId } from "@nve/protocol-spec";
import { contentOf } from "./request.ts";
import type { Served } from "./served.ts";
import type { VnInfos } from "./vn-infos.ts";
import type { Ask, Entry, Refusal } from "./vsi.ts";

/** What the profile of one of its VNs has against a request (H25): too many VNICs here, MACs or addresses. */
export function overLimits(
  ask: Ask,
  entries: readonly Entry[],
  infos: VnInfos,
  served: { get(vn: VnId): Served | undefined },
): Refusal | undefined {
  if (!entries.some(({ vn }) => infos.get(vn)?.profile)) return undefined;
  for (const [vn, macs] of contentOf(entries, ask.addresses)) {
    const { vnicsPerNve, macsPerVnic, ipsPerMac } = infos.get(vn)?.profile?.limits ?? {};
    const others = vnicsPerNve === undefined ? 0 : othersIn(served.get(vn), ask);
    const ips = Math.max(0, ...[...macs.values()].map(({ size }) => size));
    const what =
      over(others + 1, vnicsPerNve, "VNICs on one NVE") ??
      over(macs.size, macsPerVnic, "MACs of one VNIC") ??
      over(ips, ipsPerMac, "IP addresses of one MAC");
    if (what === undefined) continue;
    const reason = `the profile of VN ${vn} allows ${what}`;
    return { code: VdpError.insufficientResources, hard: false, reason };
  }
  return undefined;
}

const over = (count: number, limit: number | undefined, what: string): string | undefined =>
  limit === undefined || count <= limit ? undefined : `${limit} ${what}, not ${count}`;

/** VNICs of the VN here that are not the one that asks, wherever it was before. */
function othersIn(served: Served | undefined, { vnic }: Ask): number {
  const vnics = new Set([...(served?.vnics ?? [])].map((one) => one.vnic));
  vnics.delete(vnic);
  return vnics.size;
}
