import { type IpPrefix, prefixFromOctets } from "@nve/protocol-spec";
import * as wire from "@nve/protocol-spec/proto/types";
import type { VnProfile } from "@nve/switch-agent/nve";

type AclRule = VnProfile["acl"][number];

/** Undefined: the VN has none. @throws OutOfRange when the NVA says what cannot be */
export function profileOf({ profile, profileName }: wire.Vn): VnProfile | undefined {
  if (profile === undefined) return undefined;
  const { acl, qos, limits } = profile;
  return {
    ...(profileName !== undefined && { name: profileName }),
    acl: acl.map(ruleOf),
    qos: {
      ...positive("policeKbps", qos?.policeKbps),
      ...positive("burstOctets", qos?.burstOctets),
      ...(qos?.dscp !== undefined && { dscp: qos.dscp }),
    },
    limits: {
      ...positive("vnicsPerNve", limits?.vnicsPerNve),
      ...positive("macsPerVnic", limits?.macsPerVnic),
      ...positive("ipsPerMac", limits?.ipsPerMac),
    },
  };
}

const ruleOf = (rule: wire.AclRule): AclRule => ({
  action: rule.action === wire.AclAction.ACL_ACTION_DENY ? "deny" : "allow",
  direction: DIRECTIONS[rule.direction] ?? "both",
  ...positive("etherType", rule.etherType),
  ...positive("protocol", rule.protocol),
  ...(rule.source && { source: prefixOf(rule.source) }),
  ...(rule.destination && { destination: prefixOf(rule.destination) }),
  ...(rule.sourcePorts && { sourcePorts: rangeOf(rule.sourcePorts) }),
  ...(rule.destinationPorts && { destinationPorts: rangeOf(rule.destinationPorts) }),
});

const DIRECTIONS: Partial<Record<wire.AclDirection, AclRule["direction"]>> = {
  [wire.AclDirection.ACL_DIRECTION_FROM_VNIC]: "from-vnic",
  [wire.AclDirection.ACL_DIRECTION_TO_VNIC]: "to-vnic",
};

const prefixOf = ({ ip, length }: wire.Prefix): IpPrefix => prefixFromOctets(ip, length);
const rangeOf = ({ first, last }: wire.PortRange) => [first, last] as const;

/** 0: not set. */
const positive = <K extends string>(
  key: K,
  value: number | undefined,
): { readonly [P in K]?: number } =>
  value === undefined || value === 0 ? {} : ({ [key]: value } as { [P in K]: number });
