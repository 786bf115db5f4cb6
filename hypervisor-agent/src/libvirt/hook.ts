import { existsSync, mkdirSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { Refused } from "@nve/program/errors";
import type { Vnic } from "@nve/protocol-spec/proto/agent";
import type { AgentClient } from "../cli/world.ts";
import type { Stage } from "../stations/tree.ts";
import { inStage, type VnicDescription } from "../vms/description.ts";
import { type Domain, readDomain } from "./domain.ts";
import { fileVnics } from "./file.ts";
import { planOf, vnicsOf } from "./plan.ts";

export type Hook = {
  /** The domain's name. */
  guest: string;
  operation: string;
  /** What libvirt writes to the hook. */
  xml: string;
  /** Folder with `<guest>.yaml` for domains without metadata of ours. */
  vms: string;
  /** Folder in which domains are noted that are about to arrive. */
  state: string;
  /** For the agent to connect or prepare one VNIC. Milliseconds. */
  timeoutMs: number;
};

/**
 * One operation of libvirt's qemu hook, done when it returns.
 * @param connect to the agent; asked only where there is something to say
 * @throws Refused for what libvirt has to hear: it does not start the guest then
 */
export async function runHook(hook: Hook, connect: () => Promise<AgentClient>): Promise<void> {
  const { guest, operation, state } = hook;
  const plan = planOf(operation);
  const note = join(state, `${encodeURIComponent(guest)}.arriving`);
  switch (plan.do) {
    case "nothing":
      return;
    case "check":
      described(hook);
      return;
    case "expect":
      if (described(hook).vnics.length === 0) return;
      mkdirSync(state, { recursive: true });
      writeFileSync(note, "");
      return;
    case "arrived":
      rmSync(note, { force: true });
      return;
    case "attach":
      await attach(hook, existsSync(note) ? "prepared" : "active", connect);
      return;
    case "attach-running":
      await attach(hook, "active", connect);
      return;
    case "detach":
      rmSync(note, { force: true });
      await detach(hook, connect);
  }
}

/** Whether libvirt would kill a guest that runs, if this operation failed. */
export const mustNotFail = (operation: string): boolean =>
  ["attach-running", "arrived"].includes(planOf(operation).do);

function described(hook: Hook): { domain: Domain; vnics: VnicDescription[] } {
  const domain = readDomain(hook.xml);
  return {
    domain,
    vnics: vnicsOf(
      domain,
      domain.vnics === undefined ? fileVnics(hook.vms, hook.guest) : undefined,
    ),
  };
}

/** All or nothing: a guest that does not start leaves no VNIC. */
async function attach(
  hook: Hook,
  stage: Stage,
  connect: () => Promise<AgentClient>,
): Promise<void> {
  const { vnics } = described(hook);
  if (vnics.length === 0) return;
  const agent = await connect();
  const done: string[] = [];
  try {
    const there = new Map((await agent.vnics()).map((one) => [one.vnic, one]));
    for (const vnic of vnics) {
      if (there.get(vnic.vnic)?.interface === vnic.interface) continue;
      if (vnic.interface === "") throw new Refused(`VNIC ${vnic.vnic}: libvirt tells no interface`);
      if (there.has(vnic.vnic)) await agent.detach(vnic.vnic);
      await agent.attach(requestOf(vnic, hook.guest, stage), hook.timeoutMs);
      done.push(vnic.vnic);
    }
  } catch (error) {
    await Promise.allSettled(done.map((vnic) => agent.detach(vnic)));
    throw error;
  } finally {
    agent.close();
  }
}

/** By the name of the VM: its interfaces may be gone already, and so may its description. */
async function detach(hook: Hook, connect: () => Promise<AgentClient>): Promise<void> {
  const agent = await connect().catch((error: unknown) => {
    if (isOurs(hook)) throw error;
  });
  if (agent === undefined) return;
  try {
    const ours = (one: Vnic) => one.vmName === hook.guest && one.drivenBy === "libvirt";
    const vnics = (await agent.vnics()).filter(ours);
    await Promise.all(vnics.map(({ vnic }) => agent.detach(vnic)));
  } finally {
    agent.close();
  }
}

/** Others are not disturbed when the agent is away. */
function isOurs(hook: Hook): boolean {
  try {
    return described(hook).vnics.length > 0;
  } catch {
    return true; // it was understood when it was attached
  }
}

const requestOf = (
  { vnic, interface: of, uplink = "", tree }: VnicDescription,
  vmName: string,
  stage: Stage,
) => ({
  vnic,
  interface: of,
  vmName,
  uplink,
  drivenBy: "libvirt",
  vns: inStage(tree, stage).map(({ vn, guestTag = 0, macs }) => ({
    vnId: typeof vn === "number" ? vn : 0,
    vnName: typeof vn === "string" ? vn : "",
    guestTag,
    stage,
    macs: macs.map(({ mac, ips }) => ({ mac, ips: [...ips] })),
  })),
});
