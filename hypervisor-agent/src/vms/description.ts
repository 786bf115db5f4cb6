import { createHash } from "node:crypto";
import { type Mac, Uuid } from "@nve/protocol-spec";
import type { Stage, Tree } from "../stations/tree.ts";

/** Of a VM's NIC: which VNIC it is, on which interface of this server, with which VNs and addresses. */
export type VnicDescription = {
  vnic: Uuid;
  interface: string;
  uplink?: string;
  /** Without stages. */
  tree: Tree;
};

/** The whole tree in one stage of a migration. */
export const inStage = (tree: Tree, stage: Stage): Tree => tree.map((vn) => ({ ...vn, stage }));

/**
 * The VNIC Name of a NIC that was given none: the same on every server that knows the VM by the same name (a UUID of
 * version 5, RFC 9562 §5.5).
 * @param vm what names the VM on all servers: libvirt's UUID of the domain, else its name
 */
export function vnicNameOf(vm: string, mac: Mac): Uuid {
  const hash = createHash("sha1").update(NAMESPACE).update(`${vm.toLowerCase()} ${mac}`).digest();
  hash[6] = ((hash[6] ?? 0) & 0x0f) | 0x50;
  hash[8] = ((hash[8] ?? 0) & 0x3f) | 0x80;
  const hex = hash.subarray(0, 16).toString("hex");
  return Uuid(hex.replace(/^(.{8})(.{4})(.{4})(.{4})(.{12})$/, "$1-$2-$3-$4-$5"));
}

/** Any UUID would do; it must never change. */
const NAMESPACE = Buffer.from("5b1f1f0c6e0e4d5b9a0c2f4e8d7c6b1a", "hex");
