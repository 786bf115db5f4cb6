import type { IpAddress, Mac, NveId, Uuid, VnId, Vni } from "@nve/protocol-spec";
import type { Kind } from "../authority/catalogue.ts";
import type {
  Admission,
  Binding,
  DuplicateRule,
  ExpectedMac,
  Policy,
  Profile,
  Standby,
  Tenant,
} from "../authority/declared.ts";

/** A VN as it is wanted. Of `name`, `vnId` and `vni` the NVA keeps what there is, or chooses; the rest is as it stands. */
export type VnWish = {
  /** Absent: the one that the VN has, else "default". */
  tenant?: string;
  alias: string;
  name?: Uuid;
  /** Its name if it has no other. */
  fresh: Uuid;
  vnId?: VnId;
  vni?: Vni;
  service: "l2" | "l3";
  /** Octets; 0: not set. */
  mtu: number;
  flood: "head-end" | "multicast";
  groups?: readonly IpAddress[];
  unknown?: "flood" | "drop";
  suspended?: "deliver" | "drop" | "unreachable";
  admission?: Admission;
  profile?: string;
  duplicates?: DuplicateRule;
  description?: string;
};

/** VNs as people write them: "tenant/alias", VN ID or Name. */
export type VnicWish = {
  vnic: Uuid;
  description?: string;
  vns: readonly { vn: string; macs: readonly ExpectedMac[] }[];
  hypervisors: readonly string[];
  standby?: Standby;
};

export type BindingWish = Omit<Binding, "vnId" | "mac" | "nveId"> & {
  vn: string;
  mac: Mac;
  nveId: NveId;
};

type Wishes = {
  tenant: Tenant;
  profile: Profile;
  policy: Policy;
  vn: VnWish;
  vnic: VnicWish;
  binding: BindingWish;
};
/** What somebody wants there to be. `key`: which one is meant, as people write it; that of the wish itself when left out. */
export type Wish = { [K in Kind]: { kind: K; key?: string; wish: Wishes[K] } }[Kind];
export type WishOf<K extends Kind> = Wishes[K];

/** How a wish is called; a VN may be meant by its `key`. */
export function keyOf(one: Wish): string {
  switch (one.kind) {
    case "tenant":
    case "profile":
    case "policy":
      return one.wish.name;
    case "vn":
      return `${one.wish.tenant ?? "default"}/${one.wish.alias}`;
    case "vnic":
      return one.wish.vnic;
    case "binding":
      return `${one.wish.vn}/${one.wish.mac}`;
  }
}
