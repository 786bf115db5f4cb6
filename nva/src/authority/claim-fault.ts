import { holdsHosts, isGroup } from "@nve/protocol-spec";
import { limits } from "./limits.ts";
import type { NveState } from "./nve-state.ts";
import { nveSource, type Reported } from "./records.ts";
import type { VnState } from "./vn-state.ts";

/** Why no NVE can claim this, or this NVE no more (V10), whatever the VN's rules are. */
export function faultOf(claim: Reported, vn: VnState, nve: NveState): string | undefined {
  const source = nveSource(nve.row.location.nveId);
  if (isGroup(claim.mac)) return `${claim.mac} is a group address: no station has it`;
  if (claim.mac === "00:00:00:00:00:00") return "the all-zero address is no station's";
  const odd = claim.ips.find((ip) => !holdsHosts(ip));
  if (odd !== undefined) return `${odd} is no address that a host has`;
  if (claim.ips.length > limits.ipsPerClaim)
    return `more than ${limits.ipsPerClaim} IP addresses and prefixes for one MAC address`;
  if (nve.ips + claim.ips.length - vn.ipsOf(claim.mac, source) > limits.ipsPerNve)
    return `this NVE has ${nve.ips} IP addresses and prefixes already: ${limits.ipsPerNve} go`;
  if (claim.sequence > limits.sequence) return `sequence ${claim.sequence} exceeds 32 bits`;
  if (vn.heldBy(claim.mac, source) !== undefined) return undefined; // replaces its own
  if (nve.claims >= limits.claimsPerNve)
    return `this NVE has ${limits.claimsPerNve} claims already`;
  if (vn.claimCount >= limits.claimsPerVn)
    return `VN ${vn.vn.vnId} has ${limits.claimsPerVn} claims already`;
  if (vn.claimsOf(claim.mac) >= limits.claimsPerMac)
    return `${limits.claimsPerMac} NVEs claim this address already`;
  return undefined;
}
