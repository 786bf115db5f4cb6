import { checked } from "@nve/program/config";
import { InterfaceName } from "@nve/program/edge-config";
import { StationMac, VnRef } from "@nve/program/ids";
import { type IpPrefix, type Mac, prefixesIn, Uuid, type Vid } from "@nve/protocol-spec";
import { z } from "zod";
import { GuestTag, plus, type Tree } from "../stations/tree.ts";

/** What an administrator says of a VM, in a file of its own: `<vm>.yaml` (docs/vm-events.md). */
export type VmFile = {
  /** Path of its QMP socket. */
  qmp?: string | undefined;
  vnics: readonly FileVnic[];
};

export type FileVnic = {
  vnic?: Uuid | undefined;
  /** Of this server; libvirt says it where it is left out. */
  interface?: string | undefined;
  /** Of the guest; left out, QEMU is asked by `nic`. */
  mac?: Mac | undefined;
  /** Id of QEMU's device: `-device virtio-net-pci,id=nic0`. */
  nic?: string | undefined;
  uplink?: string | undefined;
  vns: readonly FileVn[];
};

type FileVn = { vn: VnRef; guestTag?: Vid | undefined; ips: readonly IpPrefix[] };

const ofVn = {
  vn: z.union([z.number(), z.string()], { error: "vn is a VN ID or a VN Name" }),
  guestTag: z.number({ error: "guestTag is a number" }).transform(checked(GuestTag)).optional(),
  ips: z.array(z.string().transform(checked(prefixesIn))).default([]),
};
const vnRef = checked((text: string | number) => VnRef(String(text)));
const vn = z.strictObject(ofVn).transform(({ vn: ref, ips, ...rest }, ctx) => ({
  ...rest,
  vn: vnRef(ref, ctx),
  ips: ips.flat(),
}));

const vnic = z
  .strictObject({
    vnic: z.string().transform(checked(Uuid)).optional(),
    interface: z.string().transform(checked(InterfaceName)).optional(),
    mac: z.string().transform(checked(StationMac)).optional(),
    nic: z.string().min(1).max(255).optional(),
    uplink: z.string().transform(checked(InterfaceName)).optional(),
    ...ofVn,
    vn: ofVn.vn.optional(),
    vns: z.array(vn).min(1, "name one VN at least").max(40, "40 VNs at most").optional(),
  })
  .refine((one) => (one.vn === undefined) !== (one.vns === undefined), {
    error: "vn, or vns for a trunk VNIC: one of them",
  })
  .refine((one) => one.vns === undefined || (one.guestTag === undefined && one.ips.length === 0), {
    error: "guestTag and ips stand in vns, beside the VN that they belong to",
  })
  .refine((one) => one.mac !== undefined || one.nic !== undefined, {
    error: "mac, or nic: the id of QEMU's device, which is asked then",
  })
  .transform(({ vn: ref, guestTag, ips, vns, ...rest }, ctx): FileVnic => {
    if (ref === undefined) return { ...rest, vns: vns ?? [] };
    return { ...rest, vns: [{ vn: vnRef(ref, ctx), guestTag, ips: ips.flat() }] };
  });

export const vmFileSchema: z.ZodType<VmFile> = z.strictObject({
  qmp: z
    .string()
    .regex(/^\/.{1,106}$/, "qmp is the full path of a socket")
    .optional(),
  vnics: z
    .array(vnic, { error: "vnics is a list, one for each NIC of the VM" })
    .min(1, "name one NIC at least")
    .max(64, "64 NICs at most"),
});

export const treeOf = (vns: readonly FileVn[], mac: Mac): Tree =>
  vns
    .map(({ vn: ref, guestTag, ips }) => ({
      vn: ref,
      ...(guestTag !== undefined && { guestTag }),
      macs: [{ mac, ips }],
    }))
    .reduce<Tree>((tree, node) => plus(tree, [node]), []);
