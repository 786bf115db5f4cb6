import {
  IpAddress,
  IpPrefix,
  isGroup,
  Mac,
  NveId,
  OutOfRange,
  Uuid,
  VnId,
  Vni,
} from "@nve/protocol-spec";
import {
  type DuplicateRule,
  duplicateRule,
  type ExpectedMac,
  type Policy,
  type Standby,
  type Tenant,
} from "../authority/declared.ts";
import type {
  Binding,
  Declared,
  DeclaredOf,
  DeclaredVn,
  DeclaredVnic,
  Kind,
  VnPath,
} from "./domain.ts";
import { given, type Input } from "./input.ts";
import { suspendeds } from "./numbers.ts";
import { readProfile } from "./read-profile.ts";
import { descriptionText, nameText, oneOf, patternText, vnPath, yesOrNo } from "./text.ts";
import type { Place } from "./tree.ts";
import { duration, whole } from "./units.ts";

// The sections of a domain file, top down. docs/nva-domain.md has the whole format.

/** With the place of its fields in a file. */
export type Placed = { declared: Declared; at: Place | undefined };

/** All that a domain file declares, in the order in which it can be made. What is faulty may be left out. */
export function readDomain(input: Input): Placed[] {
  return input.fields(({ optional }) => [
    ...(optional("tenants", section("tenant", nameText, readTenant)) ?? []),
    ...(optional("profiles", section("profile", nameText, readProfile)) ?? []),
    ...(optional("policies", (all) => placed("policy", all, policyReader())) ?? []),
    ...(optional("vns", section("vn", vnPath, readVn)) ?? []),
    ...(optional("vnics", section("vnic", Uuid, readVnic)) ?? []),
    ...(optional("bindings", (all) => placed("binding", all, bindingReader())) ?? []),
  ]);
}

/** A map from what names them. */
const section =
  <K extends Kind, Name>(
    kind: K,
    name: (text: string) => Name,
    read: (name: Name, input: Input) => DeclaredOf<K> | undefined,
  ) =>
  (all: Input): Placed[] =>
    all.entries(name, (key, one) => place(kind, read(key, one), one));

/** A list of what names itself. */
const placed = <K extends Kind>(
  kind: K,
  all: Input,
  read: (input: Input) => DeclaredOf<K> | undefined,
): Placed[] => all.list((one) => place(kind, read(one), one));

const place = <K extends Kind>(
  kind: K,
  value: DeclaredOf<K> | undefined,
  { at }: Input,
): Placed | undefined =>
  value === undefined ? undefined : { declared: { kind, value } as Declared, at };

export function readTenant(name: string, input: Input): Tenant {
  return input.fields(({ optional }) =>
    given({
      name,
      description: optional("description", describe),
      maxVns: optional("maxVns", number(1, 0xffff_ffff)),
    }),
  );
}

/** Reads one after another: those that say no order come 10 after the one before. */
function policyReader(): (item: Input) => Policy | undefined {
  let last = 0;
  const names = new Set<string>();
  return (item) => {
    const name = item.fields(
      ({ required }) => required("name", (one) => one.value(nameText)),
      true,
    );
    if (name === undefined) return undefined;
    if (names.has(name)) item.fault(`there is a policy "${name}" above`);
    names.add(name);
    const policy = readPolicy(name, item, last + 10);
    if (policy !== undefined) last = policy.order;
    return policy;
  };
}

/** @param order where it says none */
export function readPolicy(name: string, input: Input, order: number): Policy | undefined {
  return input.fields(({ optional, required }) => {
    const patterns = (key: string): string[] =>
      optional(key, (list) => list.list((one) => one.value(patternText))) ?? [];
    optional("name", (one) => one.value(nameText));
    const action = required("action", (one) => one.value(oneOf("allow", "deny")));
    if (action === undefined) return undefined;
    return given({
      name,
      description: optional("description", describe),
      order: optional("order", number(0, 0xffff_ffff)) ?? order,
      deny: action === "deny",
      vns: patterns("vns"),
      hypervisors: patterns("hypervisors"),
      nves: patterns("nves"),
      ports: patterns("ports"),
      vnics: patterns("vnics"),
      stations: patterns("stations"),
      authenticated: optional("authenticated", (one) => one.value(yesOrNo)) ?? false,
    });
  });
}

export function readVn(vn: VnPath, input: Input): DeclaredVn {
  return input.fields(({ optional }) =>
    given({
      vn,
      id: optional("id", (one) => one.value((text) => VnId(whole(text, 1, 0xffffff)))),
      vni: optional("vni", (one) => one.value((text) => Vni(whole(text, 0, 0xffffff)))),
      name: optional("name", (one) => one.value(Uuid)),
      mtu: optional("mtu", number(68, 65_535)), // RFC 791: IPv4 needs 68
      service: optional("service", (one) => one.value(oneOf("l2", "l3"))),
      flood: optional("flood", (one) => one.value(oneOf("head-end", "multicast"))),
      groups: optional("groups", (list) => list.list((one) => one.value(IpAddress))),
      unknown: optional("unknown", (one) => one.value(oneOf("flood", "drop"))),
      suspended: optional("suspended", (one) => one.value(oneOf(...suspendeds))),
      admission: optional("admission", (one) => one.value(oneOf("open", "registered", "strict"))),
      profile: optional("profile", (one) => one.value(nameText)),
      duplicates: optional("duplicates", readDuplicates),
      description: optional("description", describe),
    }),
  );
}

const dayMs = 86_400_000;

function readDuplicates(input: Input): DuplicateRule {
  return input.fields(({ optional }) => ({
    moves: optional("moves", number(1, 100)) ?? duplicateRule.moves,
    windowMs:
      optional("window", (one) => one.value((text) => duration(text, 1000, dayMs))) ??
      duplicateRule.windowMs,
    action: optional("action", (one) => one.value(oneOf("warn", "freeze"))) ?? duplicateRule.action,
    freezeMs: optional("for", (one) => one.value((text) => duration(text, 1000, dayMs))) ?? 0,
  }));
}

export function readVnic(vnic: Uuid, input: Input): DeclaredVnic {
  return input.fields(({ optional }) => {
    const list = optional("hypervisors", (all) => all.list((one) => one.value(patternText)));
    const vns = optional("vns", (all) =>
      all.entries(vnPath, (vn, macs) => ({ vn, macs: macs.entries(stationMac, readMac) })),
    );
    return given({
      vnic,
      description: optional("description", describe),
      hypervisors: list ?? [],
      standby: optional("standby", readStandby),
      vns: vns ?? [],
    });
  });
}

/** How many places there are is the NVA's to check, as of other lists. */
const readStandby = (input: Input): Standby | undefined =>
  input.fields(({ optional, required }) => {
    const places = required("places", (all) => all.list((one) => one.value(patternText)));
    const revert = optional("revert", (one) => one.value(yesOrNo)) ?? false;
    return places && { places, revert };
  });

const readMac = (mac: Mac, input: Input): ExpectedMac => ({ mac, ips: readIps(input) });

const readIps = (input: Input): IpPrefix[] => input.list((one) => one.value(IpPrefix));

function bindingReader(): (item: Input) => Binding | undefined {
  const seen = new Set<string>();
  return (item) => {
    const named = item.fields(({ required }) => {
      const vn = required("vn", (one) => one.value(vnPath));
      const mac = required("mac", (one) => one.value(stationMac));
      return vn === undefined || mac === undefined ? undefined : { vn, mac };
    }, true);
    if (named === undefined) return undefined;
    const { vn, mac } = named;
    if (seen.has(`${vn}/${mac}`)) item.fault(`there is a binding of ${mac} in ${vn} above`);
    seen.add(`${vn}/${mac}`);
    return readBinding(vn, mac, item);
  };
}

export function readBinding(vn: VnPath, mac: Mac, input: Input): Binding | undefined {
  return input.fields(({ optional, required }) => {
    optional("vn", (one) => one.value(vnPath));
    optional("mac", (one) => one.value(stationMac));
    const nve = required("nve", (one) => one.value(NveId));
    if (nve === undefined) return undefined;
    return given({
      vn,
      mac,
      ips: optional("ips", readIps) ?? [],
      nve,
      description: optional("description", describe),
    });
  });
}

/** @throws OutOfRange for a group address or all zeros too */
export function stationMac(text: string): Mac {
  const mac = Mac(text);
  if (!isGroup(mac) && mac !== "00:00:00:00:00:00") return mac;
  throw new OutOfRange(`${mac} is no address of a station`);
}

export const describe = (input: Input): string | undefined => input.value(descriptionText);
export const number =
  (min: number, max: number) =>
  (input: Input): number | undefined =>
    input.value((text) => whole(text, min, max));
