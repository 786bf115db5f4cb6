import { z } from "zod";

/** `libvirt` of the agent's config: VMs of this server by libvirt's hook and events (docs/vm-events.md). */
export type LibvirtConfig = {
  uri: string;
  /** The program, on PATH or a full path. */
  virsh: string;
  /** Folder with a file `<domain>.yaml` for domains whose metadata says nothing. */
  vms: string;
};

export const libvirtConfig: z.ZodType<LibvirtConfig> = z.strictObject({
  uri: z
    .string()
    .regex(/^[a-z+]+:\/\/\S*$/, "libvirt.uri is like qemu:///system")
    .default("qemu:///system"),
  virsh: z.string().min(1).default("virsh"),
  vms: z
    .string()
    .regex(/^\/./, "libvirt.vms is the full path of a folder, from /")
    .default("/etc/split-nve/vms"),
});
