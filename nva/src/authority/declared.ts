import type { HypervisorId, IpPrefix, Mac, NveId, Uuid, VnId } from "@nve/protocol-spec";

// What administrators and orchestration declare (A13, P1, H26): rows of the store, beside VNs (records.ts) and static
// claims (source "static"). Names are 1 … 64 letters, digits, ".", "_" or "-".

export type Tenant = {
  name: string;
  description?: string;
  /** Undefined: no limit. */
  maxVns?: number;
};

/** Who may attach to a VN: whoever no policy keeps out, registered VNICs, or those with their registered addresses only. */
export type Admission = "open" | "registered" | "strict";

/** A MAC address that moves so often is a duplicate. */
export type DuplicateRule = {
  /** 1 … 100 within `windowMs` */
  moves: number;
  /** 1,000 … 86,400,000 */
  windowMs: number;
  action: "warn" | "freeze";
  /** 0: frozen until somebody clears it. */
  freezeMs: number;
};
/** As RFC 7432 §15.1. */
export const duplicateRule: DuplicateRule = {
  moves: 5,
  windowMs: 180_000,
  action: "warn",
  freezeMs: 0,
};

/** What NVEs enforce for every VNIC of a VN. */
export type Profile = {
  name: string;
  description?: string;
  /** The first that matches counts; what none matches passes. At most 256. */
  acl: readonly AclRule[];
  qos?: Qos;
  limits?: ProfileLimits;
};

export type AclRule = {
  action: "allow" | "deny";
  direction: "both" | "from-vnic" | "to-vnic";
  etherType?: number;
  source?: IpPrefix;
  destination?: IpPrefix;
  /** Of IP, 1 … 255. */
  protocol?: number;
  sourcePorts?: PortRange;
  destinationPorts?: PortRange;
};
export type PortRange = readonly [first: number, last: number];

export type Qos = {
  /** Of each VNIC's own frames. */
  policeKbps?: number;
  burstOctets?: number;
  /** 0 … 63 */
  dscp?: number;
};

export type ProfileLimits = { vnicsPerNve?: number; macsPerVnic?: number; ipsPerMac?: number };

/**
 * Who may attach what where. Asked in the order of `order`, then name; the first that matches counts. Patterns are literal but
 * for "*", any characters; an empty list matches all.
 */
export type Policy = {
  name: string;
  description?: string;
  order: number;
  deny: boolean;
  /** Of "tenant/alias". */
  vns: readonly string[];
  hypervisors: readonly string[];
  nves: readonly string[];
  ports: readonly string[];
  vnics: readonly string[];
  stations: readonly string[];
  /** Only stations that have proven a key. */
  authenticated: boolean;
};

/** A VNIC that orchestration has registered. */
export type ExpectedVnic = {
  vnic: Uuid;
  description?: string;
  vns: readonly { vnId: VnId; macs: readonly ExpectedMac[] }[];
  /** Patterns; empty: any. */
  hypervisors: readonly string[];
  standby?: Standby;
};

/** It runs at several places at once, and one of them gets its traffic (M9, docs/migration.md). */
export type Standby = {
  /** Patterns of hypervisors or NVEs, the best place first: 2 … 8. */
  places: readonly string[];
  /** A better place gets the traffic back when it is there again. */
  revert: boolean;
};
export type ExpectedMac = { mac: Mac; ips: readonly IpPrefix[] };

/** Where an address is, because an administrator says so: it comes before what NVEs say. */
export type Binding = {
  vnId: VnId;
  mac: Mac;
  ips: readonly IpPrefix[];
  /** Until this NVE has connected once the binding counts for nothing. */
  nveId: NveId;
  description?: string;
};

/** Who asks to attach what (H26, A19). */
export type Applicant = {
  nveId: NveId;
  vnic?: Uuid;
  hypervisor?: HypervisorId;
  port: string;
  station?: Mac;
  authenticated: boolean;
  addresses: readonly ExpectedMac[];
};
