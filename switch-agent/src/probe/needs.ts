import { type IpAddress, isIpv6, type VnId } from "@nve/protocol-spec";
import type { NveCore } from "@nve/switch-agent/nve";
import type { PeerNeed } from "./probing.ts";

/** Ethernet, VXLAN, UDP and IP around a tenant's packet (RFC 7348 §5): GRE takes less, and a VN has one MTU. */
const overhead = (vtep: IpAddress): number => (isIpv6(vtep) ? 70 : 50);

/** The other NVEs of the VNs here, and how long the packets are that they must take. @param mtuOf of a tenant, octets */
export function peerNeeds(
  core: Pick<NveCore, "fdb" | "watched">,
  mtuOf: (vn: VnId) => number | undefined,
): PeerNeed[] {
  const peers = new Map<IpAddress, PeerNeed>();
  for (const vn of core.watched()) {
    const mtu = mtuOf(vn);
    for (const { nve, vtep } of core.fdb.members(vn).values()) {
      const peer = peers.get(vtep) ?? { vtep, nves: [], vns: [], need: 0 };
      peers.set(vtep, peer);
      if (!peer.nves.includes(nve)) peer.nves.push(nve);
      peer.vns.push(vn);
      if (mtu !== undefined) peer.need = Math.max(peer.need, mtu + overhead(vtep));
    }
  }
  return [...peers.values()].sort((a, b) => (a.vtep < b.vtep ? -1 : 1));
}
