import type { AclRule, DuplicateRule, Policy, Profile } from "../authority/declared.ts";
import type { Binding, Declared, DeclaredVn, DeclaredVnic } from "./domain.ts";
import { given } from "./input.ts";
import { durationText, etherTypeText, portsText, protocolText, rateText } from "./units.ts";

/** A value of plain JavaScript that reads as YAML or JSON. */
export type Plain = string | number | boolean | readonly Plain[] | PlainMap;
export type PlainMap = { readonly [key: string]: Plain };

/** The fields of one declared thing as a domain file has them, without what names it; nothing that is not set. */
export function plainOf(declared: Declared): PlainMap {
  switch (declared.kind) {
    case "tenant": {
      const { description, maxVns } = declared.value;
      return given({ description, maxVns });
    }
    case "profile":
      return plainProfile(declared.value);
    case "policy":
      return plainPolicy(declared.value);
    case "vn":
      return plainVn(declared.value);
    case "vnic":
      return plainVnic(declared.value);
    case "binding":
      return plainBinding(declared.value);
  }
}

function plainProfile({ description, acl, qos, limits }: Profile): PlainMap {
  const { policeKbps, burstOctets, dscp } = qos ?? {};
  const police = policeKbps === undefined ? undefined : rateText(policeKbps);
  return given({
    description,
    acl: some(acl.map(plainRule)),
    qos: someOf(given({ police, burstOctets, dscp })),
    limits: someOf(given({ ...limits })),
  });
}

export function plainRule(rule: AclRule): PlainMap {
  const { action, direction, source, destination } = rule;
  return given({
    [action]: direction,
    etherType: rule.etherType === undefined ? undefined : etherTypeText(rule.etherType),
    source,
    destination,
    protocol: rule.protocol === undefined ? undefined : protocolText(rule.protocol),
    sourcePorts: rule.sourcePorts === undefined ? undefined : portsText(rule.sourcePorts),
    destinationPorts:
      rule.destinationPorts === undefined ? undefined : portsText(rule.destinationPorts),
  }) as PlainMap;
}

function plainPolicy(policy: Policy): PlainMap {
  return given({
    description: policy.description,
    order: policy.order,
    action: policy.deny ? "deny" : "allow",
    vns: some(policy.vns),
    hypervisors: some(policy.hypervisors),
    nves: some(policy.nves),
    ports: some(policy.ports),
    vnics: some(policy.vnics),
    stations: some(policy.stations),
    authenticated: policy.authenticated ? true : undefined,
  });
}

function plainVn({ vn: _, duplicates, ...fields }: DeclaredVn): PlainMap {
  const { id, vni, name, mtu, service, flood, groups, unknown, suspended } = fields;
  const { admission, profile, description } = fields;
  return given({
    description,
    id,
    vni,
    name,
    mtu,
    service,
    flood,
    groups: groups && [...groups],
    unknown,
    suspended,
    admission,
    profile,
    duplicates: duplicates === undefined ? undefined : plainDuplicates(duplicates),
  });
}

export const plainDuplicates = ({ moves, windowMs, action, freezeMs }: DuplicateRule): PlainMap =>
  given({
    moves,
    window: durationText(windowMs),
    action,
    for: freezeMs === 0 ? undefined : durationText(freezeMs),
  });

function plainVnic({ description, hypervisors, standby, vns }: DeclaredVnic): PlainMap {
  const entries = vns.map(({ vn, macs }): [string, PlainMap] => [
    vn,
    Object.fromEntries(macs.map(({ mac, ips }) => [mac, ips])),
  ]);
  return given({
    description,
    hypervisors: some(hypervisors),
    standby: standby && given({ places: standby.places, revert: standby.revert || undefined }),
    vns: someOf(Object.fromEntries(entries)),
  });
}

const plainBinding = ({ ips, nve, description }: Binding): PlainMap =>
  given({ ips: some(ips), nve, description });

const some = <T>(list: readonly T[]): readonly T[] | undefined =>
  list.length === 0 ? undefined : list;
const someOf = <T extends object>(map: T): T | undefined =>
  Object.keys(map).length === 0 ? undefined : map;
