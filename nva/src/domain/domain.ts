import type { IpAddress, IpPrefix, Mac, NveId, Uuid, VnId, Vni } from "@nve/protocol-spec";
import type {
  Admission,
  DuplicateRule,
  ExpectedMac,
  Policy,
  Profile,
  Standby,
  Tenant,
} from "../authority/declared.ts";

// What a domain file says (docs/nva-domain.md): what administrators declare, with VNs by tenant and alias.

/** `tenant/alias`. */
export type VnPath = `${string}/${string}`;

/** Of what is left out the NVA keeps what there is, or chooses. */
export type DeclaredVn = {
  vn: VnPath;
  id?: VnId;
  vni?: Vni;
  name?: Uuid;
  /** 68 … 65535 */
  mtu?: number;
  service?: "l2" | "l3";
  flood?: "head-end" | "multicast";
  groups?: readonly IpAddress[];
  unknown?: "flood" | "drop";
  suspended?: "deliver" | "drop" | "unreachable";
  admission?: Admission;
  profile?: string;
  duplicates?: DuplicateRule;
  description?: string;
};

export type DeclaredVnic = {
  vnic: Uuid;
  description?: string;
  hypervisors: readonly string[];
  standby?: Standby;
  vns: readonly { vn: VnPath; macs: readonly ExpectedMac[] }[];
};

/** An address that an administrator binds to an NVE. */
export type Binding = {
  vn: VnPath;
  mac: Mac;
  ips: readonly IpPrefix[];
  nve: NveId;
  description?: string;
};

export type Declared =
  | { kind: "tenant"; value: Tenant }
  | { kind: "profile"; value: Profile }
  | { kind: "policy"; value: Policy }
  | { kind: "vn"; value: DeclaredVn }
  | { kind: "vnic"; value: DeclaredVnic }
  | { kind: "binding"; value: Binding };
export type Kind = Declared["kind"];
export type DeclaredOf<K extends Kind> = Extract<Declared, { kind: K }>["value"];

/** In the order in which they can be made: each refers to those before it. */
export const kinds: readonly Kind[] = ["tenant", "profile", "policy", "vn", "vnic", "binding"];

/** Resources of one domain file, as the NVA takes them at once. */
export const MAX_RESOURCES = 10_000;

/** What names it among its kind. */
export function keyOf(declared: Declared): string {
  switch (declared.kind) {
    case "vn":
      return declared.value.vn;
    case "vnic":
      return declared.value.vnic;
    case "binding":
      return `${declared.value.vn}/${declared.value.mac}`;
    default:
      return declared.value.name;
  }
}
