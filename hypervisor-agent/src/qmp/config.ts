import { z } from "zod";

/** `qemu` of the agent's config: VMs of this server by their QEMUs' monitors (docs/vm-events.md). */
export type QemuConfig = {
  /** Folder with a file `<vm>.yaml` for each VM. */
  vms: string;
  /** Folder with a socket `<vm>.qmp` for each VM whose file does not name another. */
  sockets: string;
};

const folder = (what: string) =>
  z.string().regex(/^\/./, `${what} is the full path of a folder, from /`);

export const qemuConfig: z.ZodType<QemuConfig> = z.strictObject({
  vms: folder("qemu.vms"),
  sockets: folder("qemu.sockets").default("/run/split-nve/qmp"),
});
