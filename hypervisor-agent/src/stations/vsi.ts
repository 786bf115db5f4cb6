import {
  type Association,
  type Filters,
  labelTlv,
  type Mac,
  maxEntries,
  nameTlvs,
  placeholder,
  SEAL_OCTETS,
  type Uuid,
  type Vdpdu,
  VdpError,
  type VdpTlv,
  type Vid,
  type VnId,
  type VsiRequest,
  vdpduLength,
  vnIdOfGroup,
  vsiIdOf,
} from "@nve/protocol-spec";
import { type Leaf, leaves, stageOf, type Tree, unresolved, type VnRef } from "./tree.ts";
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

/**
 * What one VSI says in a ULPDU: its association TLV and the TLVs that speak of it; or a `part` of its set, which is
 * asked for again when it is lost.
 */
export type VsiMessage = { vnic: Uuid; tlvs: readonly VdpTlv[]; part?: true };

/**
 * The Associate of a VNIC (H1, H4, H5, H9), with S bit when it is suspended; while it is only prepared its Pre-Associate
 * with resource reservation and M bit (H23). VSI ID = VNIC Name, GroupID = VN ID, or a placeholder of the VN Name
 * (`nameTlvsOf`). `tags` known already are asked for again; where there is none, the null VID asks the NVE for one
 * (spec: 802.1Q clause 41, null VID). Of more pairs than it holds it has the first of each VN (H12): `restOf`.
 */
export function associateOf(
  vnic: Uuid,
  tree: Tree,
  tags: ReadonlyMap<VnId, Vid>,
  { typeId, typeVersion }: VdpSettings,
): VsiRequest {
  const entries = entriesOf(tree).map(({ vn, mac }) => {
    const vid = typeof vn === "string" ? undefined : tags.get(vn);
    return { groupId: groupOf(tree, vn), mac, ...(vid !== undefined && { vid }) };
  });
  const stage = stageOf(tree);
  const [suspended, migrating] = [stage === "suspended", stage === "prepared"];
  return {
    type: migrating ? "pre-associate-rr" : "associate",
    association: {
      status: { is: "request", suspended, migrating, code: VdpError.success },
      vsiType: { id: typeId, version: typeVersion },
      vsiId: vsiIdOf(vnic),
      filters: { by: "group-mac-vid", entries },
    },
  };
}

/** Pairs of VN and MAC that fit one association TLV of format 4. */
export const MAX_ENTRIES = maxEntries("group-mac-vid");

/** The pairs in the filter entries: all, or the first of each VN where there are more than fit. */
export function entriesOf(tree: Tree): Leaf[] {
  const all = leaves(tree);
  return all.length <= MAX_ENTRIES ? all : tree.flatMap((node) => leaves([node]).slice(0, 1));
}

/** The pairs beyond the filter entries. */
export function restOf(tree: Tree): Leaf[] {
  const all = leaves(tree);
  return all.length <= MAX_ENTRIES ? [] : tree.flatMap((node) => leaves([node]).slice(1));
}

/** What stands for a VN in a request: its VN ID, or the placeholder of its name. */
export const groupOf = (tree: Tree, vn: VnRef): number =>
  typeof vn === "string" ? placeholder(unresolved(tree).indexOf(vn)) : vn;

/** The pairs of a tree with the tags of those that were granted: a VN has one tag. */
export function taggedIn(tree: Tree, granted: readonly TaggedLeaf[]): readonly TaggedLeaf[] {
  const tags = tagsOf(granted);
  const rest = restOf(tree).flatMap(({ vn, mac }) => {
    const vid = typeof vn === "number" ? tags.get(vn) : undefined;
    return vid === undefined || typeof vn === "string" ? [] : [{ vn, mac, vid }];
  });
  return rest.length === 0 ? granted : [...granted, ...rest];
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

/**
 * Longest ULPDU: what fits an Ethernet frame (spec: 802.1Q clause 43; 1500 less the ECP header, as lldpad counts), less
 * the seal where there are keys.
 */
export const MAX_ULPDU = 1493 - SEAL_OCTETS;

/** As few ULPDUs as it takes, in the order given. Each message is in one piece, and none has two of one VSI. */
export function batched(
  messages: readonly VsiMessage[],
  manager: Uint8Array,
): { vdpdu: Vdpdu; vnics: readonly Uuid[] }[] {
  const empty = vdpduLength({ manager, tlvs: [] });
  const batches: { tlvs: VdpTlv[]; vnics: Uuid[]; of: Set<Uuid>; size: number }[] = [];
  for (const { vnic, tlvs, part } of messages) {
    const size = vdpduLength({ manager, tlvs }) - empty;
    let last = batches.at(-1);
    if (last === undefined || last.size + size > MAX_ULPDU || last.of.has(vnic)) {
      last = { tlvs: [], vnics: [], of: new Set(), size: empty };
      batches.push(last);
    }
    last.tlvs.push(...tlvs);
    last.of.add(vnic);
    last.size += size;
    if (part === undefined) last.vnics.push(vnic);
  }
  return batches.map(({ tlvs, vnics }) => ({ vdpdu: { manager, tlvs }, vnics }));
}

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
