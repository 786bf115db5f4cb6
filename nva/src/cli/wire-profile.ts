import { type IpPrefix, prefixFromOctets, prefixParts } from "@nve/protocol-spec";
import { ipOctets } from "@nve/protocol-spec/ip";
import type * as northbound from "@nve/protocol-spec/proto/northbound";
import type * as wire from "@nve/protocol-spec/proto/types";
import { AclAction, type Prefix, VnProfile } from "@nve/protocol-spec/proto/types";
import type { AclRule, PortRange, Profile } from "../authority/declared.ts";
import { given } from "../domain/input.ts";

export function toWireProfile({
  name,
  description = "",
  acl,
  qos,
  limits,
}: Profile): northbound.Profile {
  const profile = VnProfile.fromPartial({
    acl: acl.map(toRule),
    ...(qos !== undefined && { qos }),
    ...(limits !== undefined && { limits }),
  });
  return { name, description, profile };
}

const toRule = (rule: AclRule): wire.AclRule => ({
  action: rule.action === "deny" ? AclAction.ACL_ACTION_DENY : AclAction.ACL_ACTION_ALLOW,
  direction: directions.indexOf(rule.direction),
  etherType: rule.etherType ?? 0,
  source: toPrefix(rule.source),
  destination: toPrefix(rule.destination),
  protocol: rule.protocol ?? 0,
  sourcePorts: toPorts(rule.sourcePorts),
  destinationPorts: toPorts(rule.destinationPorts),
});

export function fromWireProfile({ name, description, profile }: northbound.Profile): Profile {
  const { acl = [], qos, limits } = profile ?? {};
  return given({
    name,
    description: description || undefined,
    acl: acl.map(fromRule),
    qos: someOf(
      given({
        policeKbps: qos?.policeKbps || undefined,
        burstOctets: qos?.burstOctets || undefined,
        dscp: qos?.dscp,
      }),
    ),
    limits: someOf(
      given({
        vnicsPerNve: limits?.vnicsPerNve || undefined,
        macsPerVnic: limits?.macsPerVnic || undefined,
        ipsPerMac: limits?.ipsPerMac || undefined,
      }),
    ),
  });
}

const fromRule = (rule: wire.AclRule): AclRule =>
  given({
    action: rule.action === AclAction.ACL_ACTION_DENY ? ("deny" as const) : ("allow" as const),
    direction: directions[rule.direction] ?? ("both" as const),
    etherType: rule.etherType || undefined,
    source: fromPrefix(rule.source),
    destination: fromPrefix(rule.destination),
    protocol: rule.protocol || undefined,
    sourcePorts: fromPorts(rule.sourcePorts),
    destinationPorts: fromPorts(rule.destinationPorts),
  });

// In the order of AclDirection.
const directions = ["both", "from-vnic", "to-vnic"] as const;

function toPrefix(prefix: IpPrefix | undefined): Prefix | undefined {
  if (prefix === undefined) return undefined;
  const { ip, length } = prefixParts(prefix);
  return { ip: Buffer.from(ipOctets(ip)), length };
}
const fromPrefix = (prefix: Prefix | undefined): IpPrefix | undefined =>
  prefix === undefined ? undefined : prefixFromOctets(prefix.ip, prefix.length);

const toPorts = (range: PortRange | undefined): wire.PortRange | undefined =>
  range === undefined ? undefined : { first: range[0], last: range[1] };
const fromPorts = (range: wire.PortRange | undefined): PortRange | undefined =>
  range === undefined ? undefined : [range.first, range.last];

const someOf = <T extends object>(map: T): T | undefined =>
  Object.keys(map).length === 0 ? undefined : map;
