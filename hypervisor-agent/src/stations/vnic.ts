import type { LinkState } from "@nve/linux";
import type {
  EvbAgreed,
  ExtensionKind,
  Instant,
  Mac,
  Station,
  Uuid,
  Vid,
  VnId,
} from "@nve/protocol-spec";
import type { Tree } from "./tree.ts";
import type { TaggedLeaf } from "./vsi.ts";

/** A VNIC of this host: what is wanted, what the NVE granted, and who waits for the outcome. */
export type Vnic = {
  name: Uuid;
  /** Of the VM: tap or veth. */
  interface: string;
  /** Name of the VM, for people. */
  vm?: string;
  wanted: Tree;
  /** What the request under way asks for. */
  asking?: Tree | undefined;
  /** What the NVE granted last; the virtual switch has just this. */
  granted?: { tree: Tree; tagged: readonly TaggedLeaf[] } | undefined;
  /** Of the VNs that are granted, octets, as far as the NVE told. */
  mtus?: ReadonlyMap<VnId, number>;
  station: Station;
  /** "refused": the NVE has said no to a VNIC that it had before. It is asked again now and then: VNs come back. */
  phase: "wanted" | "refused" | "leaving";
  call?: Call | undefined;
  /** Of the last refusal or loss. */
  reason?: string | undefined;
  retry: { count: number; at?: Instant };
  /** How often the NVE has asked for the set of the request under way. */
  setAsked?: number;
  /** Off in the virtual switch, whatever is granted: it is about to leave. */
  unbound: boolean;
};

/** A request of the operator; `id` is the caller's, given back with the outcome. */
export type Call = {
  id: number;
  for: "attach" | "change" | "detach";
  /** After this the VNIC is as it was before, and the call has failed. Absent: the VDP timers decide. */
  deadline?: Instant;
  older: Tree;
};

export type VnicState = "associating" | "associated" | "leaving" | "refused" | "waiting";

export function stateOf({ phase, granted, station }: Vnic): VnicState {
  if (phase !== "wanted") return phase;
  if (granted !== undefined) return "associated";
  return station.is === "proc" ? "associating" : "waiting";
}

/** The other end of the uplink. */
export type Peer = {
  link: LinkState;
  evb: EvbAgreed;
  /** Which TLVs of our own it announced to read. */
  reads: ReadonlySet<ExtensionKind>;
};

/** Why nothing can be asked now; `undefined`: it can (spec/vdp.md 1.5: format 4 needs GroupID on both sides). */
export function notReady({ link, evb }: Peer): string | undefined {
  if (link === "absent") return "the uplink does not exist: it is waited for";
  if (link === "down") return "the uplink is down";
  if (!evb.peer) return "no NVE answers on the uplink: no EVB TLV in LLDP yet";
  if (!evb.groupId)
    return "the NVE on the uplink does not support VN IDs (no GroupID in its EVB TLV)";
  return undefined;
}

/**
 * When there is something to do for a VNIC without an event, milliseconds on the clock of its deadlines: -Infinity is
 * at once, Infinity never. While the link is down nothing times out but the operator's calls.
 */
export function dueAt({ call, station, phase, retry, granted, wanted }: Vnic, peer: Peer): number {
  const up = peer.link === "up";
  const answerBy = up && "deadline" in station ? station.deadline : NEVER;
  const isToBeAsked =
    "deadline" in station
      ? up && station.is === "up" && granted?.tree !== wanted
      : notReady(peer) === undefined;
  const askAt = phase !== "leaving" && isToBeAsked ? (retry.at ?? AT_ONCE) : NEVER;
  return Math.min(call?.deadline ?? NEVER, answerBy, askAt);
}

const NEVER = Number.POSITIVE_INFINITY;
const AT_ONCE = Number.NEGATIVE_INFINITY;

/** Frames of a VM with their tags, the guest's and the lent one: what the virtual switch is told (H10). */
type VnicBinding = { interface: string; guestTag: Vid | 0; mac: Mac; vid: Vid };

export const bindingsOf = (vnics: Iterable<Vnic>): VnicBinding[] =>
  [...vnics].flatMap(({ interface: name, granted, unbound }) => {
    if (granted === undefined || unbound) return [];
    const { tree, tagged } = granted;
    return tagged.map(({ vn, mac, vid }) => {
      const guestTag = tree.find((node) => node.vn === vn)?.guestTag ?? 0;
      return { interface: name, guestTag, mac, vid };
    });
  });

/** Whether the virtual switch is told the same of both. */
export function sameBindings(a: Vnic, b: Vnic): boolean {
  if (a.granted === b.granted && a.unbound === b.unbound) return true;
  const [ours, theirs] = [bindingsOf([a]), bindingsOf([b])];
  return ours.length === theirs.length && ours.every((one, i) => sameBinding(one, theirs[i]));
}

const sameBinding = (a: VnicBinding, b: VnicBinding | undefined): boolean =>
  a.interface === b?.interface && a.guestTag === b.guestTag && a.mac === b.mac && a.vid === b.vid;

/** What is wrong with the MTU of a VM's interface, in words. @param mtu the interface's, octets */
export function mtuWarning({ interface: of, granted, mtus }: Vnic, mtu = 0): string | undefined {
  const narrow = granted?.tagged.find(({ vn }) => (mtus?.get(vn) ?? mtu) < mtu);
  const room = narrow && mtus?.get(narrow.vn);
  return narrow === undefined || room === undefined ? undefined : mtuText(of, mtu, narrow.vn, room);
}

export function mtuText(of: string, mtu: number, vn: VnId, room: number): string {
  return `${of} has MTU ${mtu} and VN ${vn} takes ${room}: longer packets are dropped, set ${room} in the VM`;
}
