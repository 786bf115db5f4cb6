import {
  addressTlvs,
  associationLength,
  type ExtensionKind,
  hashOfSet,
  hexText,
  type IpPrefix,
  isSingle,
  macTlvs,
  type Organizational,
  partsOfSet,
  prefixTlvs,
  setTlv,
  THIRD_ROOM,
  TLV_HEADER,
  type Uuid,
  type VdpTlv,
  type VsiAddress,
  vdpduLength,
  vsiIdOf,
} from "@nve/protocol-spec";
import { leaves, type Tree } from "./tree.ts";
import {
  entriesOf,
  groupOf,
  labelTlvs,
  MAX_ENTRIES,
  MAX_ULPDU,
  nameTlvsOf,
  restOf,
  type VdpSettings,
} from "./vsi.ts";

/** Whose request it is, and what of ours its reader reads. */
export type Speaker = {
  vnic: Uuid;
  vm?: string | undefined;
  vdp: VdpSettings;
  reads: ReadonlySet<ExtensionKind>;
};

/** What a VNIC says with its request: beside it; or, where that is too long, by name, and in parts when it is asked. */
export type Said = {
  beside: readonly VdpTlv[];
  /** As `hashText`; undefined when all is beside the request. */
  hash?: string;
  parts: readonly (readonly VdpTlv[])[];
};

/** @throws OutOfRange for more than a set can say: `faultOf` lets none such through */
export function saidOf(speaker: Speaker, tree: Tree): Said {
  const { first, set: known } = madeOf(speaker, tree);
  const members = known === undefined ? membersOf(speaker, tree) : [];
  const isShort = sizeOf(members) <= roomFor(speaker, tree, first) || !speaker.reads.has("sets");
  if (known === undefined && isShort) return { beside: [...first, ...members], parts: [] };
  const { hash, parts, name } = known ?? setOf(speaker, tree);
  return { beside: [...first, name], hash, parts };
}

/** Why a VNIC cannot be said to this reader, in words; `undefined` when it can. */
export function unsayable(speaker: Speaker, tree: Tree): string | undefined {
  const pairs = leaves(tree).length;
  const sets = speaker.reads.has("sets");
  const why = "the NVE on the uplink takes no more than one (it does not know sets)";
  if (pairs > MAX_ENTRIES && !sets)
    return `${pairs} pairs of VN and MAC on one VNIC: a VDP message holds ${MAX_ENTRIES}, and ${why}`;
  const { first } = madeOf(speaker, tree);
  const room = roomFor(speaker, tree, first);
  const needed = sets ? 0 : sizeOf(membersOf(speaker, tree));
  if (needed <= room) return undefined;
  const octets = MAX_ULPDU - room + needed;
  return sets
    ? `too many VN Names on one VNIC: ${octets} octets, a VDP message holds ${MAX_ULPDU}`
    : `too many IP addresses and prefixes on one VNIC: ${octets} octets, a VDP message holds ${MAX_ULPDU}, and ${why}`;
}

export const hashText = (hash: Uint8Array): string => hexText(hash);

/** Octets of the TLV that names a set, with its header. */
const NAME = 35;

/** A tree does not change: what was made of it is made once, and serves all keepalives. */
const made = new WeakMap<Tree, { key: string; first: readonly VdpTlv[]; set?: Set }>();
type Set = { hash: string; parts: VdpTlv[][]; name: VdpTlv };

const keyOf = ({ vnic, vm, reads }: Speaker): string => [vnic, vm, ...reads].join(" ");

function madeOf(speaker: Speaker, tree: Tree): { first: readonly VdpTlv[]; set?: Set } {
  const key = keyOf(speaker);
  const known = made.get(tree);
  if (known?.key === key) return known;
  const anew = { key, first: besideFirst(speaker, tree) };
  made.set(tree, anew);
  return anew;
}

function setOf(speaker: Speaker, tree: Tree): Set {
  const vsiId = vsiIdOf(speaker.vnic);
  const room = MAX_ULPDU - vdpduLength({ manager: speaker.vdp.manager, tlvs: [] }) - NAME;
  const cut = partsOfSet(membersOf(speaker, tree, THIRD_ROOM), room);
  const hash = hashOfSet(cut);
  const name = (part: number) => setTlv({ vsiId, hash, part, parts: cut.length });
  const parts = cut.map((tlvs, i) => [name(i + 1), ...tlvs]);
  const set = { hash: hashText(hash), parts, name: name(0) };
  made.set(tree, { key: keyOf(speaker), first: madeOf(speaker, tree).first, set });
  return set;
}

/** What is never in a set: VN Names and labels. */
function besideFirst({ vnic, vm, vdp, reads }: Speaker, tree: Tree): VdpTlv[] {
  const labels = reads.has("labels") ? labelTlvs(vnic, vdp, vm) : [];
  return [...nameTlvsOf(vnic, tree), ...labels];
}

/** Octets that are left beside the request, its VNs' names and labels. */
function roomFor({ vdp, reads }: Speaker, tree: Tree, first: readonly VdpTlv[]): number {
  const request = TLV_HEADER + associationLength("group-mac-vid", entriesOf(tree).length);
  const taken = request + vdpduLength({ manager: vdp.manager, tlvs: first });
  return MAX_ULPDU - taken - (reads.has("sets") ? NAME : 0);
}

/** Addresses, prefixes and MACs beyond the filter entries: the whole set each time, the empty one too (H11, H17). */
function membersOf({ vnic, reads }: Speaker, tree: Tree, room?: number): Organizational[] {
  const vsiId = vsiIdOf(vnic);
  const rest = restOf(tree).map(({ vn, mac }) => ({ groupId: groupOf(tree, vn), mac }));
  return [
    ...(reads.has("sets") ? macTlvs({ vsiId, entries: rest }, room) : []),
    ...(reads.has("addresses")
      ? addressTlvs({ vsiId, entries: addressesIn(tree, isSingle) }, room)
      : []),
    ...(reads.has("prefixes")
      ? prefixTlvs({ vsiId, entries: addressesIn(tree, isPrefix) }, room)
      : []),
  ];
}

const isPrefix = (ip: IpPrefix): ip is IpPrefix => !isSingle(ip);

const addressesIn = <Ip extends IpPrefix>(
  tree: Tree,
  wanted: (ip: IpPrefix) => ip is Ip,
): VsiAddress<Ip>[] =>
  leaves(tree).flatMap(({ vn, mac, ips }) =>
    ips.filter(wanted).map((ip) => ({ ...(typeof vn === "number" && { vn }), mac, ip })),
  );

/** Octets of TLVs with their headers. */
const sizeOf = (tlvs: readonly Organizational[]): number =>
  tlvs.reduce((n, { octets }) => n + HEADER + octets.length, 0);

/** Type and length, OUI and subtype. */
const HEADER = 6;
