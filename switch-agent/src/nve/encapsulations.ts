import type { IpAddress, Vni } from "@nve/protocol-spec";
import type { RemotePlace } from "./intents.ts";

/** How frames can go from NVE to NVE (A24). */
export const encapsulations = ["vxlan", "nvgre", "mpls-over-gre"] as const;
export type EncapsulationName = (typeof encapsulations)[number];

/** What two NVEs have in common, best first; the same list is the same object. */
export type Via = readonly EncapsulationName[];

export const viaVxlan: Via = ["vxlan"];

const lists = new Map<string, Via>([["vxlan", viaVxlan]]);

/** @param ours in order of preference @param theirs as announced; an NVE that announces nothing does VXLAN */
export function viaOf(ours: Via, theirs: readonly string[]): Via {
  const common = ours.filter((one) => (theirs.length === 0 ? viaVxlan : theirs).includes(one));
  const key = common.join();
  const known = lists.get(key);
  if (known === undefined) lists.set(key, common);
  return known ?? common;
}

/**
 * Whether a VNI has a place in its header: VSIDs up to 0xFFF and 0xFFFFFF are reserved (RFC 7637), a label has 20 bits
 * and the first 16 are reserved (RFC 3032 §2.1).
 */
export function carries(encapsulation: EncapsulationName, vni: Vni): boolean {
  if (encapsulation === "nvgre") return vni > 0xfff && vni < 0xffffff;
  return encapsulation === "vxlan" || (vni > 15 && vni < 1 << 20);
}

/** Where an NVE is, and how to get there; `via` absent: by VXLAN. */
export type Way = { vtep: IpAddress; via?: Via };

/** The first that both have and that carries the VNI. @returns undefined: none, it is not reachable */
export function encapsulationFor({ via = viaVxlan }: Way, vni: Vni): EncapsulationName | undefined {
  return via.find((one) => carries(one, vni));
}

export function remotePlace(way: Way, vni: Vni): RemotePlace | undefined {
  const chosen = encapsulationFor(way, vni);
  if (chosen === undefined) return undefined;
  return { is: "remote", vtep: way.vtep, ...(chosen !== "vxlan" && { encapsulation: chosen }) };
}
