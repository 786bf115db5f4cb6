import {
  type Filters,
  type IpPrefix,
  isIpv6,
  type Mac,
  networkOf,
  OutOfRange,
  prefixParts,
  type Uuid,
  VdpError,
  type VnId,
  type VsiAddress,
  vnIdOfGroup,
} from "@nve/protocol-spec";
import type { Refusal, VnInfo } from "@nve/switch-agent/nve";
import type { Names } from "./vn-names.ts";

/**
 * Who and what may be on a port (H26, RFC 8394 §6). What is absent is not limited. It is about what stations say; it
 * is decided before the NVA is asked or anything is lent, but for VNs that are named in another way than here.
 */
export type PortPolicy = {
  /** Source addresses of VDP. */
  stations?: ReadonlySet<Mac> | undefined;
  /** By VN ID or by VN Name. */
  vns?: ReadonlySet<VnId | Uuid> | undefined;
  macs?: readonly MacRange[] | undefined;
  /** Pairs of VN and MAC on the port, over all its VNICs; absent: 65,536. */
  maxMacs?: number | undefined;
  /** Addresses and prefixes must be in one of these. */
  ips?: readonly IpPrefix[] | undefined;
  /** IP addresses and prefixes on the port, over all its VNICs; absent: 65,536. */
  maxIps?: number | undefined;
};

/** All MACs whose first `length` bits, 1 … 48, are those of `first`. */
export type MacRange = { first: number; length: number };

/** Why not, by what it was: `refused.vn` and so on, in the counters. */
export type Cause = "station" | "owner" | "vn" | "mac" | "ip" | "limit";
export type PolicyRefusal = Refusal & { cause: Cause };

/** What a request says of its VSI. */
export type Claimed = {
  filters: Filters;
  names: Names;
  addresses: readonly VsiAddress[];
};

/** The first fault of a request; limits of the port are not looked at. */
export function refusalBy(
  { vns, macs, ips }: PortPolicy,
  { filters, names, addresses }: Claimed,
): PolicyRefusal | undefined {
  for (const entry of filters.entries) {
    if (vns !== undefined && "groupId" in entry) {
      const vn = strangeVn(vns, entry.groupId as number, names);
      if (vn !== undefined) return notAllowed("vn", `VN ${vn}`);
    }
    if (macs === undefined) continue;
    if (!("mac" in entry)) {
      const reason = "this port wants every VNIC to name its MACs (filter info format 2 or 4)";
      return { cause: "mac", code: VdpError.invalidVidGroupOrMac, hard: true, reason };
    }
    const mac = entry.mac as Mac;
    if (!macs.some((range) => isInRange(range, mac))) return notAllowed("mac", `MAC ${mac}`);
  }
  const odd = ips && addresses.find(({ ip }) => !ips.some((prefix) => isWithin(ip, prefix)));
  return odd && notAllowed("ip", `IP ${odd.ip}`);
}

/** The same for a VN of which both ID and Name are known. */
export function vnRefusalBy(
  { vns }: PortPolicy,
  { vn, name }: Pick<VnInfo, "vn" | "name">,
): PolicyRefusal | undefined {
  const allowed = vns === undefined || vns.has(vn) || (name !== undefined && vns.has(name));
  return allowed ? undefined : notAllowed("vn", `VN ${vn}`);
}

export const mayAttach = ({ stations }: PortPolicy, station: Mac): boolean =>
  stations === undefined || stations.has(station);

/** The codes are those that a station knows (spec/vdp.md 1.3). Asking again does not help: a policy stays. */
export const notAllowed = (cause: Exclude<Cause, "limit">, what: string): PolicyRefusal => ({
  cause,
  code: cause === "vn" || cause === "mac" ? VdpError.invalidVidGroupOrMac : VdpError.other,
  hard: true,
  reason: `${what} is not allowed on this port`,
});

/** `02:00:00:00:00:00/24`, or a single one. @throws OutOfRange */
export function MacRange(text: string): MacRange {
  const [mac = "", length = "48", ...more] = text.split("/");
  const octets = /^[0-9a-f]{2}(:[0-9a-f]{2}){5}$/i.test(mac) ? mac.replaceAll(":", "") : "";
  const bits = Number(length);
  const isLength = /^\d{1,2}$/.test(length) && bits >= 1 && bits <= 48;
  if (octets === "" || !isLength || more.length > 0) {
    throw new OutOfRange(`"${text}" is neither a MAC address nor a MAC and a length, 1 to 48`);
  }
  const first = Number.parseInt(octets, 16);
  if (first % 2 ** (48 - bits) !== 0) {
    throw new OutOfRange(`"${text}" has bits set behind its length`);
  }
  return { first, length: bits };
}

function isInRange({ first, length }: MacRange, mac: Mac): boolean {
  const size = 2 ** (48 - length);
  const value = Number.parseInt(mac.replaceAll(":", ""), 16);
  return value >= first && value < first + size;
}

function isWithin(ip: IpPrefix, prefix: IpPrefix): boolean {
  if (isIpv6(ip) !== isIpv6(prefix)) return false;
  const [inner, outer] = [prefixParts(ip), prefixParts(prefix)];
  return inner.length >= outer.length && networkOf(inner.ip, outer.length) === outer.ip;
}

/** A VN that certainly is not among them; where one side has its ID and the other its Name, the NVA must say. */
function strangeVn(
  vns: ReadonlySet<VnId | Uuid>,
  groupId: number,
  names: Names,
): VnId | Uuid | undefined {
  const vn = names.get(groupId)?.name ?? vnIdOfGroup(groupId);
  if (vn === undefined || vns.has(vn)) return undefined;
  const isOfOtherKind = [...vns].some((one) => typeof one !== typeof vn);
  return isOfOtherKind ? undefined : vn;
}
