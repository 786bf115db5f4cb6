import type { IpPrefix } from "@nve/protocol-spec";

/** What the NVA wants of each VNIC of a VN (H25): `limits` hold here, the dataplane does the rest. */
export type VnProfile = {
  name?: string;
  /** The first that matches counts; what none matches passes. */
  acl: readonly AclRule[];
  qos: Qos;
  /** Absent: no limit. */
  limits: { vnicsPerNve?: number; macsPerVnic?: number; ipsPerMac?: number };
};

/** Kilobits (1,000) a second, octets at once, and the DSCP that its packets get (0 … 63). */
export type Qos = { policeKbps?: number; burstOctets?: number; dscp?: number };

export type AclRule = {
  action: "allow" | "deny";
  direction: "both" | "from-vnic" | "to-vnic";
  etherType?: number;
  source?: IpPrefix;
  destination?: IpPrefix;
  protocol?: number;
  sourcePorts?: readonly [number, number];
  destinationPorts?: readonly [number, number];
};

/** Of one profile: what an NVA takes, and a dataplane has to hold. */
export const MAX_ACL_RULES = 256;

const noRules: ProfileRules = {};
type ProfileRules = { acl?: readonly AclRule[]; qos?: Qos };

/** What of it the dataplane has to do. */
export function rulesOf(profile: VnProfile | undefined): ProfileRules {
  if (profile === undefined) return noRules;
  const { acl, qos } = profile;
  const marks = qos.policeKbps !== undefined || qos.dscp !== undefined;
  return { ...(acl.length > 0 && { acl }), ...(marks && { qos }) };
}

/** `deny from-vnic protocol 6 to 10.0.0.0/8 port 25`. */
export function ruleText(rule: AclRule): string {
  const { action, direction, etherType, protocol, source, destination } = rule;
  const ports = (range: readonly [number, number] | undefined): string[] =>
    range === undefined ? [] : [`port ${range[0] === range[1] ? range[0] : range.join("-")}`];
  return [
    action,
    ...(direction === "both" ? [] : [direction]),
    ...(etherType === undefined ? [] : [`ether-type 0x${etherType.toString(16).padStart(4, "0")}`]),
    ...(protocol === undefined ? [] : [`protocol ${protocol}`]),
    ...end("from", source, ports(rule.sourcePorts)),
    ...end("to", destination, ports(rule.destinationPorts)),
  ].join(" ");
}

const end = (word: string, prefix: IpPrefix | undefined, ports: readonly string[]): string[] =>
  prefix === undefined && ports.length === 0 ? [] : [word, prefix ?? "any", ...ports];
