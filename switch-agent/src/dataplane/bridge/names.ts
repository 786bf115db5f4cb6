import type { Vni } from "@nve/protocol-spec";
import type { PortTag } from "../../nve/vsi.ts";

/** Interfaces that are ours, and are taken away when nobody wants them. */
export const bridgeName = "nve-bridge";
export const vnName = (vni: Vni): string => `nve-v${vni}`;
/** @param port the interface's index */
export const accessName = (port: number, vid: PortTag): string => `nve${port}.${vid}`;
export const isOurs = (name: string): boolean => /^nve(-v\d+|\d+\.\d+)$/.test(name);
