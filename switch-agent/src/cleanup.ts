import { openRtnetlink } from "@nve/linux";
import { BpfError } from "@nve/linux/bpf";
import { Refused } from "@nve/program/errors";
import { TUNNEL_DEVICE } from "./dataplane/ebpf/driver.ts";
import { removeLeftovers } from "./dataplane/ebpf/estate.ts";

/**
 * Takes away what an agent that does not run any more left forwarding in this network namespace: programs, maps,
 * promiscuous ports, the tunnel device. @returns what there was @throws Refused when an agent runs, or may not
 */
export async function cleanup(pins: string | undefined): Promise<readonly string[]> {
  const removed: string[] = [];
  try {
    removed.push(...removeLeftovers(pins));
    const kernel = openRtnetlink();
    try {
      const device = await kernel.link(TUNNEL_DEVICE);
      if (device?.kind === "vxlan") {
        await kernel.deleteLink(device.index);
        removed.push(`interface ${TUNNEL_DEVICE}`);
      }
    } finally {
      kernel.close();
    }
  } catch (cause) {
    const code = cause instanceof BpfError ? cause.errno : (cause as { code?: unknown }).code;
    if (code !== "EPERM" && code !== "EACCES") throw cause;
    throw new Refused("not permitted: run as root or with CAP_BPF and CAP_NET_ADMIN", { cause });
  }
  return removed;
}
