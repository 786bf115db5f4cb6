import { OutOfRange, prefixParts } from "@nve/protocol-spec";
import type * as northbound from "@nve/protocol-spec/proto/northbound";
import type * as wire from "@nve/protocol-spec/proto/types";
import {
  type AclRule,
  type DuplicateRule,
  duplicateRule,
  type PortRange,
  type Profile,
  type ProfileLimits,
  type Qos,
} from "../authority/declared.ts";
import { fromPrefix, toIp } from "./convert.ts";
import type { Faults } from "./faults.ts";

// In the order of their numbers, from 1.
const actions = ["allow", "deny"] as const;
const directions = ["from-vnic", "to-vnic"] as const;
const duplicateActions = ["warn", "freeze"] as const;

/** 0: undefined. @throws OutOfRange for a number that stands for nothing we know */
export function one<T extends string>(names: readonly T[], number: number): T | undefined {
  const name = names[number - 1];
  if (name !== undefined || number === 0) return name;
  throw new OutOfRange(`${number} is none of ${names.join(", ")}`);
}

export function fromProfile(
  { name, description, profile }: northbound.Profile,
  faults: Faults,
): Profile {
  const { acl = [], qos, limits } = profile ?? {};
  const rate = qos && fromQos(qos);
  const bounds = limits && fromLimits(limits);
  return {
    name,
    ...(description !== "" && { description }),
    acl: faults.each("acl", acl, fromRule, { action: "allow", direction: "both" }),
    ...(rate !== undefined && Object.keys(rate).length > 0 && { qos: rate }),
    ...(bounds !== undefined && Object.keys(bounds).length > 0 && { limits: bounds }),
  };
}

function fromRule(rule: wire.AclRule): AclRule {
  const { etherType, source, destination, protocol, sourcePorts, destinationPorts } = rule;
  const action = one(actions, rule.action);
  if (action === undefined) throw new OutOfRange("action: allow or deny");
  return {
    action,
    direction: one(directions, rule.direction) ?? "both",
    ...(etherType > 0 && { etherType }),
    ...(source !== undefined && { source: fromPrefix(source) }),
    ...(destination !== undefined && { destination: fromPrefix(destination) }),
    ...(protocol > 0 && { protocol }),
    ...(sourcePorts !== undefined && { sourcePorts: fromRange(sourcePorts) }),
    ...(destinationPorts !== undefined && { destinationPorts: fromRange(destinationPorts) }),
  };
}

const fromRange = ({ first, last }: wire.PortRange): PortRange => [first, last];

const fromQos = ({ policeKbps, burstOctets, dscp }: wire.Qos): Qos => ({
  ...(policeKbps > 0 && { policeKbps }),
  ...(burstOctets > 0 && { burstOctets }),
  ...(dscp !== undefined && { dscp }),
});

const fromLimits = ({ vnicsPerNve, macsPerVnic, ipsPerMac }: wire.Limits): ProfileLimits => ({
  ...(vnicsPerNve > 0 && { vnicsPerNve }),
  ...(macsPerVnic > 0 && { macsPerVnic }),
  ...(ipsPerMac > 0 && { ipsPerMac }),
});

/** 0 of either: as RFC 7432 §15.1 has it. */
export const fromDuplicates = (policy: wire.DuplicatePolicy): DuplicateRule => ({
  moves: policy.moves || duplicateRule.moves,
  windowMs: policy.windowMs || duplicateRule.windowMs,
  action: one(duplicateActions, policy.action) ?? duplicateRule.action,
  freezeMs: policy.freezeMs,
});

export const toDuplicates = ({ action, ...rule }: DuplicateRule): wire.DuplicatePolicy => ({
  ...rule,
  action: duplicateActions.indexOf(action) + 1,
});

/** Made once of each: profiles are not changed, but replaced. */
export function toProfile(profile: Profile): wire.VnProfile {
  const known = made.get(profile);
  if (known !== undefined) return known;
  const fresh = profileOf(profile);
  made.set(profile, fresh);
  return fresh;
}

const made = new WeakMap<Profile, wire.VnProfile>();

const profileOf = ({ acl, qos, limits }: Profile): wire.VnProfile => ({
  acl: acl.map(toRule),
  qos: qos && {
    policeKbps: qos.policeKbps ?? 0,
    burstOctets: qos.burstOctets ?? 0,
    dscp: qos.dscp,
  },
  limits: limits && {
    vnicsPerNve: limits.vnicsPerNve ?? 0,
    macsPerVnic: limits.macsPerVnic ?? 0,
    ipsPerMac: limits.ipsPerMac ?? 0,
  },
});

const toRule = (rule: AclRule): wire.AclRule => ({
  action: actions.indexOf(rule.action) + 1,
  direction: rule.direction === "both" ? 0 : directions.indexOf(rule.direction) + 1,
  etherType: rule.etherType ?? 0,
  source: rule.source && toPrefix(rule.source),
  destination: rule.destination && toPrefix(rule.destination),
  protocol: rule.protocol ?? 0,
  sourcePorts: rule.sourcePorts && toRange(rule.sourcePorts),
  destinationPorts: rule.destinationPorts && toRange(rule.destinationPorts),
});

function toPrefix(prefix: NonNullable<AclRule["source"]>): wire.Prefix {
  const { ip, length } = prefixParts(prefix);
  return { ip: toIp(ip), length };
}

const toRange = ([first, last]: PortRange): wire.PortRange => ({ first, last });
