import {
  type IpPrefix,
  isSingle,
  macFrom,
  macOctets,
  NveId,
  OutOfRange,
  prefixFromOctets,
  prefixParts,
  uuidFrom,
  uuidOctets,
  VnId,
  Vni,
} from "@nve/protocol-spec";
import { ipFrom, ipOctets } from "@nve/protocol-spec/ip";
import {
  type Binding,
  Policy,
  Profile,
  Resource,
  type ResourceKey,
  Tenant,
  type VnicSpec,
  type VnSpec,
  type Kind as WireKind,
} from "@nve/protocol-spec/proto/northbound";
import { DuplicateAction, type Prefix } from "@nve/protocol-spec/proto/types";
import { duplicateRule } from "../authority/declared.ts";
import { type Declared, type DeclaredVn, type Kind, keyOf, kinds } from "../domain/domain.ts";
import { given } from "../domain/input.ts";
import { admissions, floods, services, suspendeds, unknowns } from "../domain/numbers.ts";
import { vnPath } from "../domain/text.ts";
import { fromWireProfile, toWireProfile } from "./wire-profile.ts";

// What is declared, to messages of the northbound API and back.

export const wireKind = (kind: Kind): WireKind => kinds.indexOf(kind) + 1;
/** Undefined: one that a newer NVA has. */
export const kindOf = (key: ResourceKey | undefined): Kind | undefined =>
  key === undefined ? undefined : kinds[key.kind - 1];

export const toResource = (declared: Declared): Resource => ({
  ...Resource.create(),
  key: { kind: wireKind(declared.kind), key: keyOf(declared) },
  of: toWire(declared),
});

function toWire(declared: Declared): NonNullable<Resource["of"]> {
  switch (declared.kind) {
    case "tenant":
      return { $case: "tenant", value: Tenant.fromPartial(declared.value) };
    case "profile":
      return { $case: "profile", value: Profile.fromPartial(toWireProfile(declared.value)) };
    case "policy":
      return {
        $case: "policy",
        value: Policy.fromPartial({ ...declared.value, ...copies(declared.value) }),
      };
    case "vn":
      return { $case: "vn", value: toVnSpec(declared.value) };
    case "vnic": {
      const { vnic, vns, hypervisors, standby, description = "" } = declared.value;
      const wireVns = vns.map(({ vn, macs }) => ({
        vn,
        macs: macs.map(({ mac, ips }) => ({ mac: Buffer.from(macOctets(mac)), ...toIps(ips) })),
      }));
      const octets = Buffer.from(uuidOctets(vnic));
      const wireStandby = standby && { ...standby, places: [...standby.places] };
      const lists = { vns: wireVns, hypervisors: [...hypervisors] };
      return {
        $case: "vnic",
        value: { vnic: octets, ...lists, description, standby: wireStandby },
      };
    }
    case "binding": {
      const { vn, mac, ips, nve, description = "" } = declared.value;
      const octets = Buffer.from(macOctets(mac));
      return {
        $case: "binding",
        value: { vn, mac: octets, ...toIps(ips), nveId: nve, description },
      };
    }
  }
}

/** @throws OutOfRange when it is nothing that this program knows: the NVA is newer */
export function fromResource({ key, of }: Resource): Declared {
  switch (of?.$case) {
    case "tenant":
      return { kind: "tenant", value: fromTenant(of.value) };
    case "profile":
      return { kind: "profile", value: fromWireProfile(of.value) };
    case "policy":
      return { kind: "policy", value: described(of.value) };
    case "vn":
      return { kind: "vn", value: fromVnSpec(of.value) };
    case "vnic":
      return { kind: "vnic", value: fromVnic(of.value) };
    case "binding":
      return { kind: "binding", value: fromBinding(of.value) };
    case undefined:
      throw new OutOfRange(`"${key?.key ?? ""}" is of a kind that this program does not know`);
  }
}

const fromTenant = ({ name, description, maxVns }: Tenant) =>
  given({ name, description: description || undefined, maxVns: maxVns || undefined });

/** An empty description is none. */
function described<T extends { description: string }>({ description, ...more }: T) {
  return { ...more, ...(description !== "" && { description }) };
}

function copies(policy: Extract<Declared, { kind: "policy" }>["value"]) {
  const { vns, hypervisors, nves, ports, vnics, stations } = policy;
  return {
    vns: [...vns],
    hypervisors: [...hypervisors],
    nves: [...nves],
    ports: [...ports],
    vnics: [...vnics],
    stations: [...stations],
  };
}

function toVnSpec(vn: DeclaredVn): VnSpec {
  const [tenant, alias] = parts(vn.vn);
  const { name, service, flood, groups = [], unknown, suspended } = vn;
  const { admission, duplicates } = vn;
  return {
    tenant,
    alias,
    name: name === undefined ? Buffer.alloc(0) : Buffer.from(uuidOctets(name)),
    vnId: vn.id ?? 0,
    vni: vn.vni,
    mtu: vn.mtu ?? 0,
    service: service === undefined ? 0 : services.indexOf(service) + 1,
    flood: flood === undefined ? 0 : floods.indexOf(flood) + 1,
    admission: admission === undefined ? 0 : admissions.indexOf(admission) + 1,
    profile: vn.profile ?? "",
    duplicates:
      duplicates === undefined ? undefined : { ...duplicates, action: action(duplicates) },
    description: vn.description ?? "",
    groups: groups.map((group) => Buffer.from(ipOctets(group))),
    unknown: unknown === undefined ? 0 : unknowns.indexOf(unknown) + 1,
    suspended: suspended === undefined ? 0 : suspendeds.indexOf(suspended) + 1,
  };
}

const action = ({ action: what }: { action: "warn" | "freeze" }): DuplicateAction =>
  what === "warn" ? DuplicateAction.DUPLICATE_ACTION_WARN : DuplicateAction.DUPLICATE_ACTION_FREEZE;

function fromVnSpec(vn: VnSpec): DeclaredVn {
  const { duplicates } = vn;
  return given({
    vn: vnPath(`${vn.tenant || "default"}/${vn.alias}`),
    id: vn.vnId === 0 ? undefined : VnId(vn.vnId),
    vni: vn.vni === undefined ? undefined : Vni(vn.vni),
    name: vn.name.length === 0 ? undefined : uuidFrom(vn.name),
    mtu: vn.mtu || undefined,
    service: services[vn.service - 1],
    flood: floods[vn.flood - 1],
    groups: vn.groups.length === 0 ? undefined : vn.groups.map(ipFrom),
    unknown: unknowns[vn.unknown - 1],
    suspended: suspendeds[vn.suspended - 1],
    admission: admissions[vn.admission - 1],
    profile: vn.profile || undefined,
    duplicates: duplicates === undefined ? undefined : fromDuplicates(duplicates),
    description: vn.description || undefined,
  });
}

/** 0 of either: as RFC 7432 §15.1 has it (types.proto). */
export const fromDuplicates = (of: NonNullable<VnSpec["duplicates"]>) => ({
  moves: of.moves || duplicateRule.moves,
  windowMs: of.windowMs || duplicateRule.windowMs,
  action:
    of.action === DuplicateAction.DUPLICATE_ACTION_FREEZE ? ("freeze" as const) : ("warn" as const),
  freezeMs: of.freezeMs,
});

const fromVnic = ({ vnic, vns, hypervisors, standby, description }: VnicSpec) =>
  given({
    vnic: uuidFrom(vnic),
    description: description || undefined,
    hypervisors,
    standby,
    vns: vns.map(({ vn, macs }) => ({
      vn: vnPath(vn),
      macs: macs.map((one) => ({ mac: macFrom(one.mac), ips: fromIps(one) })),
    })),
  });

const fromBinding = ({ vn, mac, nveId, description, ...of }: Binding) =>
  given({
    vn: vnPath(vn),
    mac: macFrom(mac),
    ips: fromIps(of),
    nve: NveId(nveId),
    description: description || undefined,
  });

/** Single addresses and prefixes are two fields. */
function toIps(all: readonly IpPrefix[]): { ips: Buffer[]; prefixes: Prefix[] } {
  return {
    ips: all.filter(isSingle).map((ip) => Buffer.from(ipOctets(ip))),
    prefixes: all.filter((ip) => !isSingle(ip)).map(toPrefix),
  };
}
const fromIps = ({ ips, prefixes }: { ips: Buffer[]; prefixes: Prefix[] }): IpPrefix[] => [
  ...ips.map(ipFrom),
  ...prefixes.map(({ ip, length }) => prefixFromOctets(ip, length)),
];

function toPrefix(prefix: IpPrefix): Prefix {
  const { ip, length } = prefixParts(prefix);
  return { ip: Buffer.from(ipOctets(ip)), length };
}

const parts = (vn: string): [tenant: string, alias: string] => {
  const slash = vn.indexOf("/");
  return [vn.slice(0, slash), vn.slice(slash + 1)];
};
