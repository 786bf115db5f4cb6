import {
  holdsHosts,
  type IpAddress,
  type IpPrefix,
  ipOctets,
  isGroup,
  isIpv6,
  isMulticast,
  type Mac,
} from "@nve/protocol-spec";
import type {
  AclRule,
  DuplicateRule,
  ExpectedMac,
  Policy,
  Profile,
  Standby,
  Tenant,
} from "../authority/declared.ts";
import { limits } from "../authority/limits.ts";
import type { BindingWish, VnicWish, VnWish, Wish } from "./wish.ts";

/** What is wrong with a wish by itself, whatever else there is: each fault with the name of its field. */
export function faultsIn(one: Wish): string[] {
  switch (one.kind) {
    case "tenant":
      return tenantFaults(one.wish);
    case "profile":
      return profileFaults(one.wish);
    case "policy":
      return policyFaults(one.wish);
    case "vn":
      return vnFaults(one.wish);
    case "vnic":
      return vnicFaults(one.wish);
    case "binding":
      return bindingFaults(one.wish);
  }
}

const tenantFaults = ({ name, description, maxVns }: Tenant): string[] => [
  ...nameFaults("name", name),
  ...textFaults(description),
  ...rangeFaults("max_vns", maxVns, 1, limits.vns),
];

function profileFaults({ name, description, acl, qos, limits: bounds }: Profile): string[] {
  const faults = [...nameFaults("name", name), ...textFaults(description)];
  if (acl.length > limits.aclRules)
    faults.push(`acl: ${acl.length} rules, ${limits.aclRules} at most: make several of them one`);
  else faults.push(...acl.flatMap((rule, i) => ruleFaults(rule).map((f) => `acl[${i}]: ${f}`)));
  if (qos?.burstOctets !== undefined && qos.policeKbps === undefined)
    faults.push("qos.burst_octets: goes with police_kbps");
  // A burst that no whole frame fits in would let nothing through.
  faults.push(...rangeFaults("qos.burst_octets", qos?.burstOctets, 1_514, 0xffff_ffff));
  faults.push(...rangeFaults("qos.dscp", qos?.dscp, 0, 63));
  for (const [key, value] of Object.entries(bounds ?? {}))
    faults.push(...rangeFaults(`limits.${key}`, value, 1, 0xffff_ffff));
  return faults;
}

/** EtherTypes of IPv4 and IPv6, and the IP protocols that have ports. */
const [ipv4, ipv6] = [0x0800, 0x86dd];
const withPorts: readonly (number | undefined)[] = [6, 17, 132];

function ruleFaults(rule: AclRule): string[] {
  const { etherType, source, destination, protocol, sourcePorts, destinationPorts } = rule;
  const faults = [
    // What is less is a length (802.3 §3.2.6).
    ...rangeFaults("ether_type", etherType, 0x0600, 0xffff),
    ...rangeFaults("protocol", protocol, 1, 255),
    ...portFaults("source_ports", sourcePorts),
    ...portFaults("destination_ports", destinationPorts),
  ];
  const prefixes = [source, destination].filter((prefix) => prefix !== undefined);
  const isIp = etherType === undefined || etherType === ipv4 || etherType === ipv6;
  if (!isIp && (prefixes.length > 0 || protocol !== undefined))
    faults.push("ether_type: addresses and protocols are of IPv4 (0x0800) and IPv6 (0x86dd)");
  const families = new Set(prefixes.map((prefix) => (isIpv6(prefix) ? ipv6 : ipv4)));
  if (families.size > 1 || (isIp && etherType !== undefined && !holdsOnly(families, etherType)))
    faults.push("source, destination: one of IPv4 and one of IPv6 match nothing together");
  if ((sourcePorts ?? destinationPorts) !== undefined && !withPorts.includes(protocol))
    faults.push("ports: go with protocol 6 (TCP), 17 (UDP) or 132 (SCTP)");
  return faults;
}

const holdsOnly = (families: ReadonlySet<number>, etherType: number): boolean =>
  [...families].every((family) => family === etherType);

function portFaults(field: string, range: readonly [number, number] | undefined): string[] {
  if (range === undefined) return [];
  const [first, last] = range;
  if (first <= last && last <= 65_535) return [];
  return [`${field}: ${first}..${last} is no range in 0..65535`];
}

function policyFaults(policy: Policy): string[] {
  const { vns, hypervisors, nves, ports, vnics, stations } = policy;
  return [
    ...nameFaults("name", policy.name),
    ...textFaults(policy.description),
    ...patternFaults("vns", vns, anyText),
    ...vns
      .filter((one) => !/[/*]/.test(one))
      .map((one) => `vns: "${one}" matches no "tenant/alias"`),
    ...patternFaults("hypervisors", hypervisors, idText),
    ...patternFaults("nves", nves, idText),
    ...patternFaults("ports", ports, anyText),
    ...patternFaults("vnics", vnics, /^[0-9a-fA-F*-]+$/),
    ...patternFaults("stations", stations, /^[0-9a-fA-F:*]+$/),
  ];
}

const idText = /^[A-Za-z0-9._*-]+$/;
// Neither control nor format characters, which turn what a terminal shows.
const anyText = /^[^\p{Cc}\p{Cf}\p{Zl}\p{Zp}]+$/u;

function patternFaults(field: string, patterns: readonly string[], allowed: RegExp): string[] {
  if (patterns.length > limits.patternsPerList)
    return [`${field}: ${patterns.length} patterns, ${limits.patternsPerList} at most: use "*"`];
  return patterns
    .filter((one) => one.length > 160 || !allowed.test(one))
    .map((one) => `${field}: "${one.slice(0, 160)}" matches nothing that can be there`);
}

function vnFaults(wish: VnWish): string[] {
  const { alias, mtu, profile, duplicates, description, groups = [] } = wish;
  const faults = [...textFaults(description)];
  if (alias.trim() === "") faults.push("alias: a VN needs one");
  else if (alias.length > limits.textLength || !anyText.test(alias))
    faults.push(`alias: at most ${limits.textLength} characters, none a control character`);
  else if (isOtherName.test(alias))
    faults.push(`alias: "${alias}" would be taken for a VN ID, a Name or tenant/alias`);
  if (mtu !== 0) faults.push(...rangeFaults("mtu", mtu, 68, 65_535)); // RFC 791: IPv4 needs 68
  if (profile !== undefined) faults.push(...nameFaults("profile", profile));
  faults.push(...groupFaults(groups));
  return duplicates === undefined ? faults : [...faults, ...duplicateFaults(duplicates)];
}

/** One of each address family, and such that routers pass on: a link's own are its protocols' (RFC 5771 §4, RFC 4291 §2.7). */
function groupFaults(groups: readonly IpAddress[]): string[] {
  const unfit = groups.filter((group) => !isMulticast(group) || isOfLink(group));
  const twice = [true, false].some((v6) => groups.filter((one) => isIpv6(one) === v6).length > 1);
  return [
    ...unfit.map((group) => `groups: ${group} is no group of more than one link`),
    ...(twice ? ["groups: one of IPv4 and one of IPv6 at the most"] : []),
  ];
}

function isOfLink(group: IpAddress): boolean {
  const [first, second = 0, third] = ipOctets(group);
  return isIpv6(group)
    ? first === 0xff && (second & 15) < 3
    : first === 224 && second === 0 && third === 0;
}

const duplicateFaults = ({ moves, windowMs, freezeMs }: DuplicateRule): string[] => [
  ...rangeFaults("duplicates.moves", moves, 1, 100),
  ...rangeFaults("duplicates.window_ms", windowMs, 1_000, 86_400_000),
  ...rangeFaults("duplicates.freeze_ms", freezeMs, 0, 86_400_000),
];

function vnicFaults({ vns, hypervisors, standby, description }: VnicWish): string[] {
  const faults = [...textFaults(description), ...patternFaults("hypervisors", hypervisors, idText)];
  if (standby !== undefined) faults.push(...standbyFaults(standby));
  if (vns.length > limits.vnsPerVnic)
    faults.push(`vns: ${vns.length} VNs, ${limits.vnsPerVnic} at most`);
  for (const [i, { macs }] of vns.entries()) {
    const at = `vns[${i}].macs`;
    if (macs.length > limits.macsPerVnic)
      faults.push(`${at}: ${macs.length} addresses, ${limits.macsPerVnic} at most`);
    if (new Set(macs.map(({ mac }) => mac)).size < macs.length)
      faults.push(`${at}: a MAC address stands there twice`);
    faults.push(...macs.flatMap((one, j) => stationFaults(one).map((f) => `${at}[${j}].${f}`)));
  }
  return faults;
}

function standbyFaults({ places }: Standby): string[] {
  const [least, most] = [2, limits.standbyPlaces];
  if (places.length < least || places.length > most)
    return [`standby.places: ${places.length} places, it takes ${least} to ${most}`];
  if (new Set(places).size < places.length) return ["standby.places: one stands there twice"];
  return patternFaults("standby.places", places, idText);
}

const bindingFaults = ({ mac, ips, description }: BindingWish): string[] => [
  ...stationFaults({ mac, ips }),
  ...textFaults(description),
];

function stationFaults({ mac, ips }: ExpectedMac): string[] {
  const faults = [...macFaults(mac)];
  if (ips.length > limits.ipsPerClaim)
    faults.push(`ips: ${ips.length} addresses and prefixes, ${limits.ipsPerClaim} at most`);
  const odd = ips.find((ip: IpPrefix) => !holdsHosts(ip));
  if (odd !== undefined) faults.push(`ips: ${odd} is no address that a host has`);
  return faults;
}

function macFaults(mac: Mac): string[] {
  if (isGroup(mac)) return [`mac: ${mac} is a group address: no station has it`];
  return mac === "00:00:00:00:00:00" ? ["mac: the all-zero address is no station's"] : [];
}

export const nameFaults = (field: string, name: string): string[] =>
  /^[A-Za-z0-9._-]{1,64}$/.test(name)
    ? []
    : [`${field}: "${name.slice(0, 80)}" is not 1 to 64 letters, digits, ".", "_" or "-"`];

function textFaults(description: string | undefined): string[] {
  if (description === undefined) return [];
  const isText = /^[^\p{Cc}\p{Cf}\p{Zl}\p{Zp}]*$/u.test(description);
  if (isText && description.length <= limits.descriptionLength) return [];
  return [`description: at most ${limits.descriptionLength} characters, none a control character`];
}

function rangeFaults(field: string, value: number | undefined, min: number, max: number): string[] {
  if (value === undefined || (Number.isInteger(value) && value >= min && value <= max)) return [];
  return [`${field}: ${value} is not in ${min}..${max}`];
}

/** What people name VNs by beside their alias (find.ts). */
const isOtherName = /\/|^\d{1,8}$|^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/i;
