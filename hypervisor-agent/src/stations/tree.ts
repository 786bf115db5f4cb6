import { type IpPrefix, isGroup, type Mac, type Uuid, type VnId } from "@nve/protocol-spec";

/** A VN by its VN ID, or by its VN Name until the NVE has told the VN ID (H4). */
export type VnRef = VnId | Uuid;

/** What a VNIC contains: VNs, their MACs, the IPs of each MAC (H6). No VN without a MAC: VDP could not say it. */
export type Tree = readonly VnNode[];
type VnNode = { vn: VnRef; name?: Uuid; macs: readonly MacNode[] };
type MacNode = { mac: Mac; ips: readonly IpPrefix[] };

/** A VN, a MAC of it, or an IP of that: as deep as it is filled in. */
export type NodePath = { vn: VnRef; mac?: Mac; ip?: IpPrefix };

/** A {VN, MAC} pair with its IPs: one filter entry. */
type Leaf = { vn: VnRef; name?: Uuid; mac: Mac; ips: readonly IpPrefix[] };

/** {VN, MAC} pairs that fit one association TLV of format 4 (protocol-spec, `maxEntries`). */
const MAX_LEAVES = 40;

export const leaves = (tree: Tree): Leaf[] =>
  tree.flatMap(({ macs, ...vn }) => macs.map((mac) => ({ ...vn, ...mac })));

/** The VN Names whose VN ID is not known, in their order. */
export const unresolved = (tree: Tree): Uuid[] =>
  tree.flatMap(({ vn }) => (typeof vn === "string" ? [vn] : []));

/** The tree with the VN IDs of these names; the same one when nothing in it is different then. */
export function resolved(tree: Tree, ids: ReadonlyMap<Uuid, VnId>): Tree {
  if (!unresolved(tree).some((name) => ids.has(name))) return tree;
  const withIds = leaves(tree).map((leaf) => {
    const id = typeof leaf.vn === "string" ? ids.get(leaf.vn) : undefined;
    return typeof leaf.vn === "string" && id !== undefined
      ? { ...leaf, vn: id, name: leaf.vn }
      : leaf;
  });
  return withIds.reduce<Tree>(plusLeaf, []);
}

/** Both trees in one; what is there already is not there twice. */
export function plus(tree: Tree, added: Tree): Tree {
  return leaves(added).reduce<Tree>(plusLeaf, tree);
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
  if (all.length > MAX_LEAVES) {
    return `${all.length} pairs of VN and MAC on one VNIC: one VDP message holds ${MAX_LEAVES}, use more VNICs`;
  }
  for (const { vn, mac } of all) {
    if (isGroup(mac) || mac === "00:00:00:00:00:00") return `${mac} is no address of one VM`;
    const other = all.find((leaf) => leaf.mac === mac && leaf.vn !== vn);
    if (other !== undefined) {
      return `MAC ${mac} in two VNs (${vn} and ${other.vn}) on one VNIC: untagged frames could not be told apart, use one VNIC for each VN`;
    }
  }
  return undefined;
}

function plusLeaf(tree: Tree, { mac, ips, ...vn }: Leaf): Tree {
  const vnNode = tree.find((node) => isVn(node, vn.vn));
  if (vnNode === undefined) return [...tree, { ...vn, macs: [{ mac, ips: unique(ips) }] }];
  const both = { ...(vn.name !== undefined && { name: vn.name }), ...vnNode };
  const macNode = vnNode.macs.find((node) => node.mac === mac);
  if (macNode === undefined) {
    return replaced(tree, vnNode, { ...both, macs: [...vnNode.macs, { mac, ips: unique(ips) }] });
  }
  const merged = { mac, ips: unique([...macNode.ips, ...ips]) };
  return replaced(tree, vnNode, { ...both, macs: replaced(vnNode.macs, macNode, merged) });
}

const isVn = (node: { vn: VnRef; name?: Uuid }, ref: VnRef): boolean =>
  node.vn === ref || node.name === ref;

const replaced = <T>(list: readonly T[], from: T, to: T): T[] =>
  list.map((item) => (item === from ? to : item));

const unique = <T>(list: readonly T[]): T[] => [...new Set(list)];
