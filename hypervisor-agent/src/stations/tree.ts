import { OutOfRange } from "@nve/protocol-spec/errors";
import { isGroup, type Mac, type Uuid, Vid, type VnId } from "@nve/protocol-spec/ids";
import type { IpPrefix } from "@nve/protocol-spec/ip";

/** A VN by its VN ID, or by its VN Name until the NVE has told the VN ID (H4). */
export type VnRef = VnId | Uuid;

/**
 * How far a VNIC is at this server (docs/migration.md): "prepared" to arrive (its tag is lent and nothing else is so),
 * "active", or "suspended", about to leave.
 */
export type Stage = (typeof stages)[number];
export const stages = ["active", "prepared", "suspended"] as const;

/** @throws OutOfRange for no such stage */
export function StageName(text: string): Stage {
  const found = stages.find((one) => one === text);
  if (found !== undefined) return found;
  throw new OutOfRange(`"${text}" is no stage of a VNIC: ${stages.join(", ")}`);
}

/** Of what goes in one request. */
export const stageOf = (tree: Tree): Stage =>
  tree.find(({ stage }) => stage !== undefined)?.stage ?? "active";

/** What a VNIC contains: VNs, their MACs, the IPs of each MAC (H6). No VN without a MAC: VDP could not say it. */
export type Tree = readonly VnNode[];
/** `guestTag`: of the guest's frames of this VN, on this VNIC alone (H10); absent: they are untagged. */
type VnNode = {
  vn: VnRef;
  name?: Uuid;
  guestTag?: Vid;
  /** Absent: active. */
  stage?: Stage;
  macs: readonly MacNode[];
};
type MacNode = { mac: Mac; ips: readonly IpPrefix[] };

/** A VN, a MAC of it, or an IP of that: as deep as it is filled in. */
export type NodePath = { vn: VnRef; mac?: Mac; ip?: IpPrefix };

/** A {VN, MAC} pair with its IPs: one filter entry. */
export type Leaf = { vn: VnRef; name?: Uuid; guestTag?: Vid; mac: Mac; ips: readonly IpPrefix[] };

/** VNs of a VNIC: each has an entry in the one association TLV of format 4 (protocol-spec, `maxEntries`). */
const MAX_VNS = 40;
/** MACs, IP addresses and prefixes of a VNIC: the most that a switch of ours takes. */
const MAX_ADDRESSES = 16_384;

/** @throws OutOfRange for what is no 802.1Q tag of a guest, 1 … 4094 (H10) */
export function GuestTag(n: number): Vid {
  if (Number.isInteger(n) && n >= 1 && n <= 4094) return Vid(n);
  throw new OutOfRange(`guest tag ${n} is not in 1..4094; untagged frames need none`);
}

export function leaves(tree: Tree): Leaf[] {
  const all: Leaf[] = [];
  for (const node of tree) for (const mac of node.macs) all.push(leafOf(node, mac));
  return all;
}

function leafOf({ vn, name, guestTag }: VnNode, { mac, ips }: MacNode): Leaf {
  const leaf: Leaf = { vn, mac, ips };
  if (name !== undefined) leaf.name = name;
  if (guestTag !== undefined) leaf.guestTag = guestTag;
  return leaf;
}

/** The VN Names whose VN ID is not known, in their order. */
export const unresolved = (tree: Tree): Uuid[] =>
  tree.flatMap(({ vn }) => (typeof vn === "string" ? [vn] : []));

/** The tree with the VN IDs of these names; the same one when nothing in it is different then. */
export function resolved(tree: Tree, ids: ReadonlyMap<Uuid, VnId>): Tree {
  if (!unresolved(tree).some((name) => ids.has(name))) return tree;
  const withIds = tree.map((node) => {
    const id = typeof node.vn === "string" ? ids.get(node.vn) : undefined;
    return typeof node.vn === "string" && id !== undefined
      ? { ...node, vn: id, name: node.vn }
      : node;
  });
  return withIds.reduce<Tree>(plusNode, []);
}

/**
 * Both trees in one; what is there already is not there twice. What is added to a VN without a guest tag goes by
 * the one that the VN has; with another it stays beside it, and is a fault.
 */
export function plus(tree: Tree, added: Tree): Tree {
  return added.reduce<Tree>(plusNode, tree);
}

/** Without a node and all it contains (H7). A VN whose last MAC goes is gone too. `undefined`: no such node. */
export function minus(tree: Tree, { vn, mac, ip }: NodePath): Tree | undefined {
  const vnNode = tree.find((node) => isVn(node, vn));
  if (vnNode === undefined) return undefined;
  if (mac === undefined) return tree.filter((node) => node !== vnNode);
  const macNode = vnNode.macs.find((node) => node.mac === mac);
  if (macNode === undefined) return undefined;
  if (ip === undefined) {
    const macs = vnNode.macs.filter((node) => node !== macNode);
    return macs.length === 0
      ? tree.filter((node) => node !== vnNode)
      : replaced(tree, vnNode, { ...vnNode, macs });
  }
  if (!macNode.ips.includes(ip)) return undefined;
  const ips = macNode.ips.filter((other) => other !== ip);
  const macs = replaced(vnNode.macs, macNode, { mac, ips });
  return replaced(tree, vnNode, { ...vnNode, macs });
}

/** Why this cannot be a VNIC's tree, in words for the operator; `undefined` when it can. */
export function faultOf(tree: Tree): string | undefined {
  const all = leaves(tree);
  if (all.length === 0) return "a VNIC needs at least one VN with one MAC address";
  if (tree.length > MAX_VNS) {
    return `${tree.length} VNs on one VNIC: one VDP message holds ${MAX_VNS}, use more VNICs`;
  }
  const count = all.reduce((n, { ips }) => n + 1 + ips.length, 0);
  if (count > MAX_ADDRESSES) {
    return `${count} MAC and IP addresses on one VNIC: ${MAX_ADDRESSES} go, use more VNICs`;
  }
  for (const { mac } of all) {
    if (isGroup(mac) || mac === "00:00:00:00:00:00") return `${mac} is no address of one VM`;
  }
  return retagged(tree) ?? ambiguous(all);
}

/** A VN twice, by two guest tags: what a VM sends to all would come back to it. */
function retagged(tree: Tree): string | undefined {
  for (const [at, { vn, name, guestTag }] of tree.entries()) {
    const refs = name === undefined ? [vn] : [vn, name];
    const before = tree.slice(0, at).find((node) => refs.some((ref) => isVn(node, ref)));
    if (before === undefined) continue;
    const was = before.guestTag === undefined ? "untagged" : `with guest tag ${before.guestTag}`;
    const now = guestTag === undefined ? "untagged" : `with guest tag ${guestTag}`;
    return `VN ${vn} is on this VNIC ${was} and cannot be there ${now} too: remove the VN first, or detach the VNIC`;
  }
  return undefined;
}

/** A MAC in two VNs by one guest tag: its frames could not be told apart. */
function ambiguous(all: readonly Leaf[]): string | undefined {
  const seen = new Map<string, Leaf>();
  for (const leaf of all) {
    const { vn, guestTag, mac } = leaf;
    const other = seen.get(`${mac} ${guestTag}`);
    if (other === undefined) seen.set(`${mac} ${guestTag}`, leaf);
    else if (other.vn !== vn) {
      const frames =
        guestTag === undefined ? "untagged frames" : `frames with guest tag ${guestTag}`;
      return `MAC ${mac} in two VNs (${other.vn} and ${vn}) on one VNIC: ${frames} could not be told apart, use another guest tag or one VNIC for each VN`;
    }
  }
  return undefined;
}

function plusNode(tree: Tree, { macs, ...vn }: VnNode): Tree {
  if (macs.length === 0) return tree;
  const vnNode = tree.find(
    (node) => isVn(node, vn.vn) && (vn.guestTag ?? node.guestTag) === node.guestTag,
  );
  if (vnNode === undefined) return [...tree, { ...vn, macs: merged([], macs) }];
  const { name, stage } = vn;
  const both = { ...(name !== undefined && { name }), ...vnNode, ...(stage && { stage }) };
  return replaced(tree, vnNode, { ...both, macs: merged(vnNode.macs, macs) });
}

function merged(macs: readonly MacNode[], added: readonly MacNode[]): MacNode[] {
  const all = new Map(macs.map((node) => [node.mac, node]));
  for (const { mac, ips } of added) {
    all.set(mac, { mac, ips: unique([...(all.get(mac)?.ips ?? []), ...ips]) });
  }
  return [...all.values()];
}

const isVn = (node: { vn: VnRef; name?: Uuid }, ref: VnRef): boolean =>
  node.vn === ref || node.name === ref;

const replaced = <T>(list: readonly T[], from: T, to: T): T[] =>
  list.map((item) => (item === from ? to : item));

const unique = <T>(list: readonly T[]): T[] => [...new Set(list)];
