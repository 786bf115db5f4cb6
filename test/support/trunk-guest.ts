import { type ChildProcess, execFileSync, spawn } from "node:child_process";
import { once } from "node:events";
import { join } from "node:path";
import { namespaceOf } from "@nve/lab/topology";
import { pingFrom, type Vm } from "./two-racks.ts";

/** A VLAN interface of a guest; its stack is in a namespace of its own. */
export type Vlan = { tag: number; ip: string };

/** What a guest on a trunk VNIC does with its eth0: `ip link add link eth0 name eth0.10 type vlan id 10`, and an address. */
export type TrunkGuest = {
  /** Whether the stack behind a guest tag has an answer from `ip`. */
  ping(tag: number, ip: string, count?: number): Promise<boolean>;
  /** Takes it all away. */
  end(): void;
};

const tagger = join(import.meta.dirname, "vlan-interfaces.mjs");

/** @param vm added to the lab; every VLAN interface has its MAC, as with the kernel's own */
export async function trunkGuest(
  lab: string,
  { vm, mac }: Vm,
  vlans: readonly Vlan[],
): Promise<TrunkGuest> {
  const guest = namespaceOf(lab, vm);
  const stack = (tag: number) => `${guest}-${tag}`;
  const ip = (...lines: string[]) =>
    execFileSync("ip", ["-batch", "-"], {
      input: lines.join("\n"),
      stdio: ["pipe", "pipe", "inherit"],
    });
  let child: ChildProcess | undefined;
  const end = (): void => {
    child?.kill();
    for (const { tag } of vlans) {
      try {
        execFileSync("ip", ["netns", "del", stack(tag)], { stdio: "ignore" });
      } catch {
        // it was never made
      }
    }
  };
  try {
    for (const { tag, ip: address } of vlans) {
      ip(
        `netns add ${stack(tag)}`,
        `link add vlan${tag} netns ${guest} type veth peer name eth0 netns ${stack(tag)} address ${mac}`,
      );
      execFileSync("ip", ["-n", guest, "link", "set", `vlan${tag}`, "up"]);
      execFileSync("ip", ["-n", stack(tag), "link", "set", "eth0", "up"]);
      execFileSync("ip", ["-n", stack(tag), "addr", "add", `${address}/24`, "dev", "eth0"]);
    }
    const words = vlans.map(({ tag }) => `vlan${tag}=${tag}`);
    const inside = ["netns", "exec", guest, process.execPath, tagger, "eth0", mac, ...words];
    child = spawn("ip", inside, { stdio: ["pipe", "pipe", "inherit"] });
    const gone = once(child, "exit").then(() => {
      throw new Error(`the VLAN interfaces of ${vm} are not there`);
    });
    await Promise.race([once(child.stdout ?? child, "data"), gone]);
    gone.catch(() => {}); // at its end
  } catch (error) {
    end();
    throw error;
  }
  return { ping: (tag, to, count) => pingFrom(stack(tag), to, count), end };
}
