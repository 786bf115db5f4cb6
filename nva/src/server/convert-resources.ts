import {
  type IpPrefix,
  macFrom,
  NveId,
  OutOfRange,
  type Uuid,
  uuidFrom,
  VnId,
  Vni,
} from "@nve/protocol-spec";
import * as wire from "@nve/protocol-spec/proto/northbound";
import type * as types from "@nve/protocol-spec/proto/types";
import type { DeclaredChange, Entry, Kind, Vns } from "../authority/catalogue.ts";
import { defaultTenant, kinds } from "../authority/catalogue.ts";
import type { Binding, ExpectedMac, ExpectedVnic, Policy, Tenant } from "../authority/declared.ts";
import { called, type Vn } from "../authority/records.ts";
import { faultsIn } from "../catalogue/check.ts";
import { labelOf, nameOf } from "../catalogue/find.ts";
import type { VnWish, Wish } from "../catalogue/wish.ts";
import { admissions, floods, services, suspendeds, unknowns } from "../domain/numbers.ts";
import { fromIp, fromMac, fromPrefix, fromUuid, toIp, toIps, toMac, toUuid } from "./convert.ts";
import { fromDuplicates, fromProfile, one, toDuplicates, toProfile } from "./convert-profile.ts";
import { Faults } from "./faults.ts";

// What is declared, from the wire: all that is wrong with a resource is told at once.

/** @throws OutOfRange for a kind that is none */
export function fromKind(kind: wire.Kind): Kind {
  const known = kinds[kind - 1];
  if (known !== undefined) return known;
  throw new OutOfRange("kind: tenant, profile, policy, vn, vnic or binding");
}

export const toKind = (kind: Kind): wire.Kind => kinds.indexOf(kind) + 1;

/** What a resource asks for. @param fresh the name of a VN that has no other */
export function fromResource({ key, of }: wire.Resource, fresh: Uuid): Wish | readonly string[] {
  const faults = new Faults();
  if (of === undefined) return ["it says of no kind what it is to be"];
  const kind = of.$case;
  if (key !== undefined && key.kind !== 0 && kinds[key.kind - 1] !== kind)
    faults.add("key", `it says another kind than ${kind}`);
  const wish = wishOf(of, fresh, faults);
  if (wish === undefined) return faults.all;
  // Of addresses some may be missing now, and what is said of the others would be of the wrong ones.
  const isWhole = faults.all.length === 0 || (kind !== "vnic" && kind !== "binding");
  const meant = { ...wish, ...(key !== undefined && key.key !== "" && { key: key.key }) };
  const odd = [...faults.all, ...(isWhole ? faultsIn(meant) : [])];
  return odd.length > 0 ? odd : meant;
}

/** What a resource calls itself, whatever else is wrong with it. */
export function labelOfResource({ key, of }: wire.Resource): string {
  if (of === undefined) return `resource "${key?.key ?? ""}"`;
  return labelOf(of.$case, key?.key || calls(of));
}

function calls(of: NonNullable<wire.Resource["of"]>): string {
  switch (of.$case) {
    case "vn":
      return `${of.value.tenant || defaultTenant}/${of.value.alias}`;
    case "vnic":
      return of.value.vnic.length === 16 ? uuidFrom(of.value.vnic) : "";
    case "binding":
      return `${of.value.vn}/${of.value.mac.length === 6 ? macFrom(of.value.mac) : ""}`;
    default:
      return of.value.name;
  }
}

function wishOf(
  of: NonNullable<wire.Resource["of"]>,
  fresh: Uuid,
  faults: Faults,
): Wish | undefined {
  switch (of.$case) {
    case "tenant":
      return { kind: "tenant", wish: fromTenant(of.value) };
    case "profile":
      return { kind: "profile", wish: fromProfile(of.value, faults) };
    case "policy":
      return { kind: "policy", wish: fromPolicy(of.value) };
    case "vn":
      return { kind: "vn", wish: fromVn(of.value, fresh, faults) };
    case "vnic":
      return fromVnic(of.value, faults);
    case "binding":
      return fromBinding(of.value, faults);
  }
}

const text = (description: string): { description?: string } =>
  description === "" ? {} : { description };

const fromTenant = ({ name, description, maxVns }: wire.Tenant): Tenant => ({
  name,
  ...text(description),
  ...(maxVns > 0 && { maxVns }),
});

const fromPolicy = ({ description, ...rest }: wire.Policy): Policy => ({
  ...rest,
  ...text(description),
  vnics: rest.vnics.map((pattern) => pattern.toLowerCase()),
  stations: rest.stations.map((pattern) => pattern.toLowerCase()),
});

function fromVn(spec: wire.VnSpec, fresh: Uuid, faults: Faults): VnWish {
  const { tenant, vni, vnId, profile, duplicates } = spec;
  const name = faults.take("name", () =>
    spec.name.length === 0 ? undefined : fromUuid(spec.name, "name"),
  );
  const id = faults.take("vn_id", () => (vnId === 0 ? undefined : VnId(vnId)));
  const context = faults.take("vni", () => (vni === undefined ? undefined : Vni(vni)));
  const admission = faults.take("admission", () => one(admissions, spec.admission));
  const groups = faults.take("groups", () => spec.groups.map(fromIp)) ?? [];
  const unknown = faults.take("unknown", () => one(unknowns, spec.unknown));
  const suspended = faults.take("suspended", () => one(suspendeds, spec.suspended));
  const rule =
    duplicates === undefined
      ? undefined
      : faults.take("duplicates", () => fromDuplicates(duplicates));
  return {
    ...(tenant !== "" && { tenant }),
    alias: spec.alias,
    ...(name !== undefined && { name }),
    fresh,
    ...(id !== undefined && { vnId: id }),
    ...(context !== undefined && { vni: context }),
    service: faults.take("service", () => one(services, spec.service)) ?? "l2",
    mtu: spec.mtu,
    flood: faults.take("flood", () => one(floods, spec.flood)) ?? "head-end",
    ...(groups.length > 0 && { groups }),
    ...(unknown !== undefined && { unknown }),
    ...(suspended !== undefined && { suspended }),
    // "open" is what it is without.
    ...(admission !== undefined && admission !== "open" && { admission }),
    ...(profile !== "" && { profile }),
    ...(rule !== undefined && { duplicates: rule }),
    ...text(spec.description),
  };
}

function fromVnic(
  { vnic, description, vns, hypervisors, standby }: wire.VnicSpec,
  faults: Faults,
): Wish | undefined {
  const uuid = faults.take("vnic", () => fromUuid(vnic, "vnic"));
  const memberships = faults.each("vns", vns, ({ vn, macs }, inner) => ({
    vn: named(vn),
    macs: inner.each("macs", macs, fromStation),
  }));
  if (uuid === undefined) return undefined;
  const known = { ...text(description), ...(standby !== undefined && { standby }) };
  const wish = { vnic: uuid, ...known, vns: memberships, hypervisors };
  return { kind: "vnic", wish };
}

function fromBinding(binding: wire.Binding, faults: Faults): Wish | undefined {
  const vn = faults.take("vn", () => named(binding.vn));
  const station = faults.take("", () => fromStation(binding));
  const nveId = faults.take("nve_id", () => NveId(binding.nveId));
  if (vn === undefined || station === undefined || nveId === undefined) return undefined;
  return { kind: "binding", wish: { vn, ...station, nveId, ...text(binding.description) } };
}

function named(vn: string): string {
  if (vn === "") throw new OutOfRange('vn: "tenant/alias" of a VN is missing');
  return vn;
}

type Addresses = { mac: Uint8Array; ips: readonly Uint8Array[]; prefixes: readonly types.Prefix[] };

/** Single addresses first, each once: as it comes back. */
function fromStation({ mac, ips, prefixes }: Addresses): ExpectedMac {
  const all = [...new Set<IpPrefix>([...ips.map(fromIp), ...prefixes.map(fromPrefix)])];
  const isWide = (ip: IpPrefix): number => (ip.includes("/") ? 1 : 0);
  return { mac: fromMac(mac), ips: all.sort((a, b) => isWide(a) - isWide(b)) };
}

// To the wire.

/** @param revision of what is not in the store yet */
export function toResource(
  vns: Vns,
  change: DeclaredChange,
  which: "before" | "after",
  revision: number,
  note = "",
): wire.Resource | undefined {
  const entry: Entry<unknown> | undefined = change[which];
  const of = specOf(vns, change, which);
  if (entry === undefined || of === undefined) return undefined;
  const name = nameOf(vns, {
    ...change,
    ...(which === "before" && { after: undefined }),
  } as DeclaredChange);
  return {
    key: { kind: toKind(change.kind), key: name },
    revision: BigInt(entry.revision < 0 ? revision : entry.revision),
    note,
    of,
  };
}

function specOf(vns: Vns, change: DeclaredChange, which: "before" | "after"): wire.Resource["of"] {
  const { kind } = change;
  switch (kind) {
    case "tenant": {
      const row = change[which]?.row;
      return row && { $case: kind, value: wire.Tenant.fromPartial(row) };
    }
    case "profile": {
      const row = change[which]?.row;
      const description = row?.description ?? "";
      return (
        row && { $case: kind, value: { name: row.name, description, profile: toProfile(row) } }
      );
    }
    case "policy": {
      const row = change[which]?.row;
      return row && { $case: kind, value: toPolicy(row) };
    }
    case "vn": {
      const row = change[which]?.row;
      return row && { $case: kind, value: toVnSpec(row) };
    }
    case "vnic": {
      const row = change[which]?.row;
      return row && { $case: kind, value: toVnic(vns, row) };
    }
    case "binding": {
      const row = change[which]?.row;
      return row && { $case: kind, value: toBinding(vns, row) };
    }
  }
}

const toPolicy = ({ description = "", ...row }: Policy): wire.Policy => ({
  ...row,
  description,
  vns: [...row.vns],
  hypervisors: [...row.hypervisors],
  nves: [...row.nves],
  ports: [...row.ports],
  vnics: [...row.vnics],
  stations: [...row.stations],
});

const toVnSpec = (vn: Vn): wire.VnSpec => ({
  tenant: vn.tenant,
  alias: vn.alias,
  name: toUuid(vn.name),
  vnId: vn.vnId,
  vni: vn.vni,
  mtu: vn.mtu,
  service: services.indexOf(vn.service) + 1,
  flood: floods.indexOf(vn.flood) + 1,
  admission: admissions.indexOf(vn.admission ?? "open") + 1,
  profile: vn.profile ?? "",
  duplicates: vn.duplicates && toDuplicates(vn.duplicates),
  description: vn.description ?? "",
  groups: (vn.groups ?? []).map(toIp),
  unknown: vn.unknown === undefined ? 0 : unknowns.indexOf(vn.unknown) + 1,
  suspended: vn.suspended === undefined ? 0 : suspendeds.indexOf(vn.suspended) + 1,
});

const toVnic = (vns: Vns, row: ExpectedVnic): wire.VnicSpec => ({
  vnic: toUuid(row.vnic),
  description: row.description ?? "",
  vns: row.vns.map(({ vnId, macs }) => ({
    vn: pathOf(vns, vnId),
    macs: macs.map(({ mac, ips }) => ({ mac: toMac(mac), ...toIps(ips) })),
  })),
  hypervisors: [...row.hypervisors],
  standby: row.standby && { places: [...row.standby.places], revert: row.standby.revert },
});

const toBinding = (vns: Vns, row: Binding): wire.Binding => ({
  vn: pathOf(vns, row.vnId),
  mac: toMac(row.mac),
  ...toIps(row.ips),
  nveId: row.nveId,
  description: row.description ?? "",
});

function pathOf(vns: Vns, vnId: VnId): string {
  const vn = vns.vn(vnId);
  return vn === undefined ? String(vnId) : called(vn);
}
