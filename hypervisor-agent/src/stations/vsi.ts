import {
  type Association,
  addressTlvs,
  type Filters,
  type IpPrefix,
  isSingle,
  labelTlv,
  type Mac,
  nameTlvs,
  placeholder,
  prefixTlvs,
  type Uuid,
  type Vdpdu,
  VdpError,
  type VdpTlv,
  type Vid,
  type VnId,
  type VsiAddress,
  type VsiRequest,
  vdpduOctets,
  vnIdOfGroup,
  vsiIdOf,
} from "@nve/protocol-spec";
import { leaves, type Tree, unresolved } from "./tree.ts";
import type { Heard } from "./turn.ts";

/** What every VSI of this host says besides its addresses (spec: 802.1Q clause 41, VSI manager and type). */
export type VdpSettings = {
  /** 16 octets; zeros: the NVE's own authority. */
  manager: Uint8Array;
  /** 0 … 2^24-1 */
  typeId: number;
  /** 0 … 255 */
  typeVersion: number;
  /** Whose they are, for people. */
  hypervisor?: string;
};

/** A {VN, MAC} pair with the tag that the NVE lent it. */
export type TaggedLeaf = { vn: VnId; mac: Mac; vid: Vid };

/** What one VSI says in a ULPDU: its association TLV and the TLVs that speak of it. */
export type VsiMessage = { vnic: Uuid; tlvs: readonly VdpTlv[] };

/**
 * The Associate of a VNIC (H1, H4, H5, H9): VSI ID = VNIC Name, GroupID = VN ID, or a placeholder of the VN Name
 * (`nameTlvsOf`). `tags` known already are asked
 * for again; where there is none, the null VID asks the NVE for one (spec: 802.1Q clause 41, null VID).
 */
export function associateOf(
  vnic: Uuid,
  tree: Tree,
  tags: ReadonlyMap<VnId, Vid>,
  { typeId, typeVersion }: VdpSettings,
): VsiRequest {
  const names = unresolved(tree);
  const entries = leaves(tree).map(({ vn, mac }) => {
    if (typeof vn === "string") return { groupId: placeholder(names.indexOf(vn)), mac };
    const vid = tags.get(vn);
    return { groupId: vn, mac, ...(vid !== undefined && { vid }) };
  });
  return {
    type: "associate",
    association: {
      status: { is: "request", suspended: false, migrating: false, code: VdpError.success },
      vsiType: { id: typeId, version: typeVersion },
      vsiId: vsiIdOf(vnic),
      filters: { by: "group-mac-vid", entries },
    },
  };
}

/** The pairs and tags of a granted request; or, in words, what is wrong with them. */
export function taggedLeaves({ filters }: Association): readonly TaggedLeaf[] | string {
  const tagged: TaggedLeaf[] = [];
  for (const entry of filters.by === "group-mac-vid" ? filters.entries : []) {
    const { mac, vid } = entry;
    const vn = vnIdOfGroup(entry.groupId);
    if (vn === undefined) return "the NVE did not say which VN ID a VN Name has";
    if (vid === undefined) {
      return "the NVE lends no tags: it granted the request without a VID"; // as lldpad does
    }
    if (tagged.some((other) => other.vid === vid && other.vn !== vn)) {
      return `the NVE lent tag ${vid} for two VNs`; // P11
    }
    tagged.push({ vn, mac, vid });
  }
  return tagged;
}

export const tagsOf = (tagged: readonly TaggedLeaf[]): ReadonlyMap<VnId, Vid> =>
  new Map(tagged.map(({ vn, vid }) => [vn, vid]));

/** The key of a VSI besides its ID (spec: 802.1Q clause 41; VSI ID and manager are compared before). */
export const sameKind = (association: Association, { typeId, typeVersion }: VdpSettings): boolean =>
  association.vsiType.id === typeId &&
  association.vsiType.version === typeVersion &&
  association.filters.by === "group-mac-vid";

/** All the IPs of a VNIC, for the address TLV: the whole set each time, the empty one too (H11, H17). */
export function ipTlvs(vnic: Uuid, tree: Tree): VdpTlv[] {
  return addressTlvs({ vsiId: vsiIdOf(vnic), entries: addressesIn(tree, isSingle) });
}

/** The same of IP prefixes (H8, H14); without any there is no TLV: the addresses are then the whole set. */
export const prefixTlvsOf = (vnic: Uuid, tree: Tree): VdpTlv[] =>
  prefixTlvs({ vsiId: vsiIdOf(vnic), entries: addressesIn(tree, isPrefix) });

const isPrefix = (ip: IpPrefix): ip is IpPrefix => !isSingle(ip);

const addressesIn = <Ip extends IpPrefix>(
  tree: Tree,
  wanted: (ip: IpPrefix) => ip is Ip,
): VsiAddress<Ip>[] =>
  leaves(tree).flatMap(({ vn, mac, ips }) =>
    ips.filter(wanted).map((ip) => ({ ...(typeof vn === "number" && { vn }), mac, ip })),
  );

/** The VN Names behind the placeholders of `associateOf`; none when all VN IDs are known (H4). */
export function nameTlvsOf(vnic: Uuid, tree: Tree): VdpTlv[] {
  const entries = unresolved(tree).map((name, n) => ({ placeholder: placeholder(n), name }));
  return entries.length === 0 ? [] : nameTlvs({ vsiId: vsiIdOf(vnic), entries });
}

/** The filters with the VN IDs that the NVE told in place of placeholders. */
export function withVnIds(filters: Filters, names: Heard["names"]): Filters {
  if (filters.by !== "group-mac-vid" || names === undefined || names.size === 0) return filters;
  const entries = filters.entries.map((entry) => ({
    ...entry,
    groupId: names.get(entry.groupId)?.vn ?? entry.groupId,
  }));
  return { ...filters, entries };
}

/** Whose it is, for people at the switch. */
export function labelTlvs(vnic: Uuid, { hypervisor = "" }: VdpSettings, vm = ""): VdpTlv[] {
  if (hypervisor === "" && vm === "") return [];
  return [labelTlv({ vsiId: vsiIdOf(vnic), hypervisor, vm })];
}

/** Longest ULPDU: what fits an Ethernet frame (spec: 802.1Q clause 43; 1500 less the ECP header, as lldpad counts). */
export const MAX_ULPDU = 1493;

/** Why a VNIC cannot be said in one message; `undefined` when it can. */
export function fitsOneMessage(
  vnic: Uuid,
  tree: Tree,
  vdp: VdpSettings,
  vm?: string,
): string | undefined {
  const { type, association } = associateOf(vnic, tree, new Map(), vdp);
  const ips = [...ipTlvs(vnic, tree), ...prefixTlvsOf(vnic, tree)];
  const beside = [...nameTlvsOf(vnic, tree), ...labelTlvs(vnic, vdp, vm), ...ips];
  const tlvs: VdpTlv[] = [{ is: "association", type, association }, ...beside];
  const octets = sizeOf({ manager: vdp.manager, tlvs });
  if (octets <= MAX_ULPDU) return undefined;
  return `too many IP addresses and prefixes on one VNIC: ${octets} octets, one VDP message holds ${MAX_ULPDU}`;
}

/** As few ULPDUs as it takes, in the order given. Each VSI is in one piece. */
export function batched(
  messages: readonly VsiMessage[],
  manager: Uint8Array,
): { vdpdu: Vdpdu; vnics: readonly Uuid[] }[] {
  const empty = sizeOf({ manager, tlvs: [] });
  const batches: { tlvs: VdpTlv[]; vnics: Uuid[]; size: number }[] = [];
  for (const { vnic, tlvs } of messages) {
    const size = sizeOf({ manager, tlvs }) - empty;
    const last = batches.at(-1);
    if (last !== undefined && last.size + size <= MAX_ULPDU) {
      last.tlvs.push(...tlvs);
      last.vnics.push(vnic);
      last.size += size;
    } else {
      batches.push({ tlvs: [...tlvs], vnics: [vnic], size: empty + size });
    }
  }
  return batches.map(({ tlvs, vnics }) => ({ vdpdu: { manager, tlvs }, vnics }));
}

const sizeOf = (vdpdu: Vdpdu): number => vdpduOctets(vdpdu).length;

/**
 * A refusal in the operator's words, with its code (spec/vdp.md 1.3).
 *
 * @param tree what was asked for
 * @param said why, in the NVE's own words, where it says more than a code
 */
export function refusalText(code: number, tree: Tree, said?: string): string {
  const vns = tree.map(({ vn }) => vn);
  const about = `${vns.length === 1 ? "VN" : "VNs"} ${vns.join(", ")}`;
  const what = said === undefined ? refusalOf(code, about) : `the NVE refused ${about}: ${said}`;
  return `${what} (VDP error ${code})`;
}

function refusalOf(code: number, about: string): string {
  switch (code) {
    case VdpError.invalidFormat:
      return "the NVE could not read the request: invalid format";
    case VdpError.insufficientResources:
      return `the NVE has no tag or other resource left for ${about}`;
    case VdpError.managerUnreachable:
      return `the NVE cannot reach its authority (NVA) to ask about ${about}`;
    case VdpError.invalidVidGroupOrMac:
      return `the NVE refused ${about}: there is no such VN, or this VNIC, MAC or tag may not be in it`;
    default:
      return `the NVE refused ${about}`;
  }
}
