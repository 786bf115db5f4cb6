import { macFrom, uuidFrom } from "@nve/protocol-spec/ids";
import { ipFrom } from "@nve/protocol-spec/ip";
import {
  type NvaStatus,
  type NveRecord,
  NveState,
  type SourcedClaim,
} from "@nve/protocol-spec/proto/northbound";
import {
  type Admission,
  Encapsulation,
  FloodMode,
  type Location,
  type Mapping,
  Service,
  type SuspendedMode,
  type UnknownMode,
  type Vn,
} from "@nve/protocol-spec/proto/types";
import { admissions, suspendeds, unknowns } from "../domain/numbers.ts";
import { plainDuplicates } from "../domain/plain.ts";
import { fromDuplicates } from "./wire.ts";

// What the CLI prints: addresses as people write them, names for numbers. --json prints exactly these.

export const vnRecord = (vn: Vn) => ({
  alias: vn.alias,
  vnId: vn.vnId,
  vni: vn.vni,
  name: uuid(vn.name),
  tenant: vn.tenant,
  service: vn.service === Service.SERVICE_L3 ? "l3" : "l2",
  mtu: vn.mtu === 0 ? null : vn.mtu,
  flood: vn.flood === FloodMode.FLOOD_MODE_MULTICAST ? "multicast" : "head-end",
  ...(vn.groups.length > 0 && { groups: vn.groups.map(ipFrom) }),
  ...(vn.unknown !== undefined && unknownOf(vn.unknown)),
  ...(vn.suspended !== undefined && suspendedOf(vn.suspended)),
  ...(vn.profileName !== undefined && vn.profileName !== "" && { profile: vn.profileName }),
  ...(vn.admission !== undefined && admissionOf(vn.admission)),
  ...(vn.duplicates !== undefined && {
    duplicates: plainDuplicates(fromDuplicates(vn.duplicates)),
  }),
  revision: Number(vn.revision),
});
export type VnRecord = ReturnType<typeof vnRecord>;

const unknownOf = (unknown: UnknownMode) => {
  const mode = unknowns[unknown - 1];
  return mode === undefined ? {} : { unknown: mode };
};

const suspendedOf = (suspended: SuspendedMode) => {
  const mode = suspendeds[suspended - 1];
  return mode === undefined ? {} : { suspended: mode };
};

const admissionOf = (admission: Admission) => {
  const mode = admissions[admission - 1];
  return mode === undefined ? {} : { admission: mode };
};

const location = ({ nveId, vteps, encapsulations }: Location) => ({
  nve: nveId,
  vteps: vteps.map(ipFrom),
  encapsulations: encapsulations.map((one) => kinds[one] ?? String(one)),
});

export const nveRecord = (nve: NveRecord) => ({
  ...location(nve.location ?? { nveId: "", vteps: [], encapsulations: [] }),
  state: nve.state === NveState.NVE_STATE_CONNECTED ? "connected" : "stale",
  since: new Date(Number(nve.sinceUnixMs)).toISOString(),
  vnIds: nve.vnIds,
  claims: nve.claims,
  appliedRevision: Number(nve.appliedRevision),
});
export type NveLine = ReturnType<typeof nveRecord>;

export const mappingRecord = (mapping: Mapping) => ({
  vnId: mapping.vnId,
  mac: macFrom(mapping.mac),
  ips: ipsOf(mapping),
  locations: mapping.locations.map(location),
  sequence: Number(mapping.sequence),
  vnic: mapping.vnic.length === 0 ? "" : uuid(mapping.vnic),
  flags: flags(mapping),
});
export type MappingRecord = ReturnType<typeof mappingRecord>;

export const claimRecord = ({ source, claim, best, stale, standby }: SourcedClaim) => {
  if (claim === undefined) return undefined;
  const { vnId, mac, vnic, hypervisor, port, sequence } = claim;
  return {
    vnId,
    mac: macFrom(mac),
    source,
    ips: ipsOf(claim),
    vnic: vnic.length === 0 ? "" : uuid(vnic),
    hypervisor,
    port,
    sequence: Number(sequence),
    best,
    flags: [
      ...flags({ ...claim, stale }),
      ...(claim.gleaned ? ["gleaned"] : []),
      ...(standby === undefined ? [] : [standby.active ? "active" : "standby"]),
    ],
    ...(standby !== undefined && { standby }),
  };
};
export type ClaimRecord = NonNullable<ReturnType<typeof claimRecord>>;

export const statusRecord = (status: NvaStatus) => ({
  version: status.version,
  nva: status.nvaId,
  started: new Date(Number(status.startedUnixMs)).toISOString(),
  store: status.store,
  storeId: uuid(status.storeId),
  revision: Number(status.revision),
  vns: status.vns,
  nvesConnected: status.nvesConnected,
  nvesStale: status.nvesStale,
  claims: status.claims,
  watchers: status.watchers,
  certificateValidTo:
    status.certificateValidToUnixMs === 0n
      ? ""
      : new Date(Number(status.certificateValidToUnixMs)).toISOString(),
  certificateFault: status.certificateFault,
});

const ipsOf = ({ ips, prefixes }: Pick<Mapping, "ips" | "prefixes">): string[] => [
  ...ips.map(ipFrom),
  ...prefixes.map(({ ip, length }) => `${ipFrom(ip)}/${length}`),
];

const uuid = (octets: Uint8Array): string => (octets.length === 16 ? uuidFrom(octets) : "");

const flagNames = ["sticky", "anycast", "suspended", "stale"] as const;
const flags = (of: Record<(typeof flagNames)[number], boolean>): string[] =>
  flagNames.filter((name) => of[name]);

const kinds: Partial<Record<Encapsulation, string>> = {
  [Encapsulation.ENCAPSULATION_VXLAN]: "vxlan",
  [Encapsulation.ENCAPSULATION_NVGRE]: "nvgre",
  [Encapsulation.ENCAPSULATION_MPLS_OVER_GRE]: "mpls-over-gre",
};
