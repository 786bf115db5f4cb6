import { NotFound } from "@nve/program/errors";
import type { HypervisorId, Uuid, VnId } from "@nve/protocol-spec";
import type { FixedAsk, Nve } from "@nve/switch-agent/local";
import { allTags, type PortOptions } from "@nve/switch-agent/nve";
import type { VnicView } from "../agent.ts";
import { faultOf, leaves, resolved, stageOf, type Tree, type VnRef } from "../stations/tree.ts";
import { onAnother } from "../stations/turn.ts";
import { mtuText, type VnicState } from "../stations/vnic.ts";

/** What `vnic list` calls the way of its VNs. */
export const LOCAL = "local";

/** A VNIC on the NVE of this server: what is wanted, and how far it is. */
export type LocalVnic = {
  name: Uuid;
  interface: string;
  vm: string | undefined;
  /** What the operator wants; while a change is on its way, already that. */
  wanted: Tree;
  /** The NVE has it, and so has the dataplane. */
  granted: Tree | undefined;
  state: VnicState;
  reason: string | undefined;
  /** In a row. */
  failures: number;
  /** Somebody waits for the outcome. */
  busy: boolean;
  gone: boolean;
  /** Ends the wait until it is asked for again. */
  callOff(): void;
  /** Ends the watch of its interface. */
  unwatch(): void;
};

/** The interface of a VM as a port of the NVE: its guest's tags are what its VNs are told by (H10). */
export const portOf = (name: string, checkIps: boolean): PortOptions => ({
  name,
  tags: allTags,
  maxVnics: 1,
  rules: { checkSource: true, ...(checkIps && { checkIps }) },
});

export const vsiOf = (name: Uuid): string => `local ${name}`;

export function askOf(vnic: LocalVnic, hypervisor: HypervisorId): FixedAsk {
  const { name, interface: port, vm, wanted } = vnic;
  return {
    vsi: vsiOf(name),
    port,
    vnic: name,
    hypervisor,
    ...(vm !== undefined && { vm }),
    origin: "local",
    ...inVdp[stageOf(wanted)],
    vns: wanted.map(({ vn, guestTag, macs }) => ({ vn, tag: guestTag ?? 0, macs })),
  };
}

/** As a station would say it (H21, H23). */
const inVdp = {
  active: {},
  prepared: { mode: "pre-associate-rr", migrating: true },
  suspended: { suspended: true },
} as const;

/** The tree with the VN IDs that the NVE found for VN Names; `vns` in its order. */
export function named(tree: Tree, vns: readonly VnId[]): Tree {
  const ids = tree.flatMap(({ vn }, i): [Uuid, VnId][] => {
    const id = vns[i];
    return typeof vn === "string" && id !== undefined ? [[vn, id]] : [];
  });
  return resolved(tree, new Map(ids));
}

/** Why a VNIC cannot contain this here, for good; `undefined`: it can. */
export const objection = (
  vnics: ReadonlyMap<Uuid, LocalVnic>,
  name: Uuid,
  tree: Tree,
): string | undefined =>
  faultOf(tree) ?? untaggedTwice(tree) ?? onAnother(vnics.values(), name, tree);

/** Here a VN is told by the guest's tag, not by the MAC, too. */
function untaggedTwice(tree: Tree): string | undefined {
  const [first, second] = tree.filter(({ guestTag }) => guestTag === undefined);
  const tags = tree.map(({ guestTag }) => guestTag);
  const twice = tree.find(({ guestTag }, i) => tags.indexOf(guestTag) < i);
  if (twice === undefined) return undefined;
  return second === undefined || first === undefined
    ? `guest tag ${twice.guestTag} stands for two VNs on one VNIC: its frames could not be told apart`
    : `the untagged frames of a VNIC are of one VN, and VN ${first.vn} and VN ${second.vn} are wanted: use guest tags`;
}

/** Why another VNIC stands in the way; `undefined`: none does. */
export function taken(
  vnics: ReadonlyMap<Uuid, LocalVnic>,
  name: Uuid,
  of: string,
): string | undefined {
  const other = vnics.get(name) ?? [...vnics.values()].find((vnic) => vnic.interface === of);
  if (other === undefined) return undefined;
  return other.name === name
    ? `VNIC ${name} is attached already, to ${other.interface}: change or detach that`
    : `interface ${of} is attached already, as VNIC ${other.name}: change or detach that`;
}

export function viewOf(vnic: LocalVnic, nve: Nve, mtu: number | undefined): VnicView {
  const { granted, state } = vnic;
  const vns = granted?.flatMap(({ vn }) => (typeof vn === "number" ? [vn] : [])) ?? [];
  const mtus = vns.flatMap((vn): [VnId, number][] => {
    const room = nve.mtuOf(vn);
    return room === undefined ? [] : [[vn, room]];
  });
  return {
    vnic: vnic.name,
    interface: vnic.interface,
    pinned: undefined,
    over: new Map(granted?.map(({ vn }): [VnRef, string] => [vn, LOCAL])),
    state,
    reason: vnic.reason ?? tooLong(vnic.interface, mtu, mtus),
    vm: vnic.vm,
    tree: vnic.wanted,
    tagged: leaves(granted ?? []).flatMap(({ vn, mac }) =>
      typeof vn === "number" ? [{ vn, mac, vid: 0 as const }] : [],
    ),
    mtus: new Map(mtus),
  };
}

function tooLong(of: string, mtu = 0, mtus: readonly [VnId, number][]): string | undefined {
  const [narrow] = mtus.filter(([, room]) => room < mtu);
  return narrow && mtuText(of, mtu, ...narrow);
}

export function known(vnics: ReadonlyMap<Uuid, LocalVnic>, name: Uuid): LocalVnic {
  const vnic = vnics.get(name);
  if (vnic === undefined) throw new NotFound(`no VNIC ${name} here: \`vnic list\` shows them`);
  return vnic;
}
