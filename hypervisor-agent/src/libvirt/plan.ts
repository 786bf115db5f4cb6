import { Refused } from "@nve/program/errors";
import { type VnicDescription, vnicNameOf } from "../vms/description.ts";
import { type FileVnic, treeOf } from "../vms/file.ts";
import type { Domain } from "./domain.ts";

/** What the hook does at an operation (libvirt's docs/hooks). */
export type Plan =
  /** Nothing of ours. */
  | { do: "nothing" }
  /** Its description has to be good: else the guest does not start. */
  | { do: "check" }
  /** The same; and it arrives: what `start` attaches is prepared, not active. */
  | { do: "expect" }
  /** Its VNICs are connected, or prepared where it has yet to arrive. */
  | { do: "attach" }
  /** The same for one that runs already. libvirt kills it when the hook fails: it never does. */
  | { do: "attach-running" }
  /** It is not expected any more. */
  | { do: "arrived" }
  /** Its VNICs are gone. A hook that fails would change nothing. */
  | { do: "detach" };

const PLANS: Readonly<Record<string, Plan>> = {
  prepare: { do: "check" },
  migrate: { do: "expect" },
  start: { do: "attach" },
  started: { do: "arrived" },
  attach: { do: "attach-running" },
  reconnect: { do: "attach-running" },
  stopped: { do: "detach" },
  release: { do: "detach" },
};

/** Operations that are not known do nothing: libvirt may learn more of them. */
export const planOf = (operation: string): Plan => PLANS[operation] ?? { do: "nothing" };

/**
 * The VNICs of a domain, whose interfaces libvirt has made.
 * @param file what a file says of it, where its metadata says nothing
 * @returns none for a domain that is none of ours
 * @throws Refused for what is missing or contradicts itself
 */
export function vnicsOf(domain: Domain, file: readonly FileVnic[] | undefined): VnicDescription[] {
  const said = domain.vnics ?? file;
  if (said === undefined) {
    const [signalled] = domain.nics.filter(({ vsi }) => vsi !== undefined);
    if (signalled === undefined) return [];
    throw new Refused(
      `interface ${signalled.mac} has a virtualport of type 802.1Qbg, but nothing says its VN: neither <metadata> nor a file`,
    );
  }
  return said.map((one) => described(domain, one));
}

function described({ name, uuid, nics }: Domain, one: FileVnic): VnicDescription {
  const { mac, uplink, vns } = one;
  if (mac === undefined) throw new Refused("libvirt names NICs by their MAC: write mac, not nic");
  const nic = nics.find((candidate) => candidate.mac === mac);
  if (nic === undefined) {
    const has = nics.map((candidate) => candidate.mac).join(", ") || "none";
    throw new Refused(`domain ${name} has no interface with MAC ${mac} (it has ${has})`);
  }
  const { vsi } = nic;
  if (one.vnic !== undefined && vsi !== undefined && one.vnic !== vsi.instance) {
    throw new Refused(
      `interface ${mac}: its instanceid ${vsi.instance} is not the VNIC Name ${one.vnic} that is said of it`,
    );
  }
  return {
    vnic: one.vnic ?? vsi?.instance ?? vnicNameOf(uuid, mac),
    interface: nic.interface ?? one.interface ?? "",
    ...(uplink !== undefined && { uplink }),
    tree: treeOf(vns, mac),
  };
}
