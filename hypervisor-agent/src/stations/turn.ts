import type { LinkState } from "@nve/linux";
import type {
  Association,
  AssociationType,
  EvbAgreed,
  Instant,
  Mac,
  Station,
  Uuid,
  Vdpdu,
  VdpTimes,
  VnId,
  VnNaming,
} from "@nve/protocol-spec";
import { type Leaf, leaves, type Tree } from "./tree.ts";
import type { Call, Peer, Vnic, VnicState } from "./vnic.ts";
import type { Vnics } from "./vnics.ts";
import type { VdpSettings, VsiMessage } from "./vsi.ts";

/** The VSIs of one uplink: what is wanted, what the NVE granted, and who is at the other end. */
export type Book = {
  is: "book";
  peer: Peer;
  vnics: Vnics;
  /** The NVE is to be told that these are gone, when the link is up again. */
  owed: Map<Uuid, Association>;
  deadline?: Instant;
};

export type BookEvent =
  | Attach
  | Change
  /** What VNICs shall have on this uplink, for nobody who waits: VNs come from other uplinks and go there. */
  | { on: "want"; parts: readonly Part[] }
  | { on: "detach"; call: number; vnic: Uuid }
  | Heard
  /** What one ULPDU says. */
  | { on: "heard"; all: readonly Heard[] }
  /** The NVE does not have the set that a request named. @param hash as `hashText` */
  | { on: "set-asked"; vnic: Uuid; hash: string }
  | { on: "undelivered"; vnics: readonly Uuid[] }
  | { on: "link"; state: LinkState }
  | { on: "peer"; evb: EvbAgreed; reads: Peer["reads"] }
  /** The NVE was started anew and knows no VSI of ours. */
  | { on: "peer-anew" }
  /** The agent ends: De-Associate for all. */
  | { on: "stop" }
  | { on: "tick" };

export type Heard = {
  on: "association";
  type: AssociationType;
  association: Association;
  /** In the NVE's own words, fit to be shown. */
  reason?: string;
  /** The VNs behind placeholders, by placeholder. */
  names?: ReadonlyMap<number, VnNaming>;
  /** Of its VNs, octets. */
  mtus?: ReadonlyMap<VnId, number>;
};
export type Attach = {
  on: "attach";
  call: number;
  vnic: Uuid;
  interface: string;
  vm?: string;
  tree: Tree;
  deadline: Instant;
};
/** With an empty `tree` it goes; one that is leaving already stays on its way. */
export type Part = { vnic: Uuid; interface: string; vm?: string; tree: Tree };
/** `tree` is the whole of what the VNIC shall contain from now on (H6, H7). */
export type Change = { on: "change"; call: number; vnic: Uuid; tree: Tree; deadline: Instant };

export type BookAction =
  /** What the virtual switch shall have of these is different now: `bindingsOf`. Comes before `done`. */
  | { do: "bind"; vnics: readonly Uuid[] }
  | { do: "send"; vdpdu: Vdpdu; vnics: readonly Uuid[] }
  | { do: "done"; call: number }
  | { do: "failed"; call: number; reason: string }
  /** Another uplink may do better. Comes before `failed`. */
  | { do: "trouble"; vnic: Uuid; is: Trouble }
  /** Requests can be made from now on, or why not. */
  | { do: "readiness"; notReady: string | undefined }
  | { do: "report"; vnic: Uuid; state: VnicState | "gone"; reason: string | undefined };

/** Why an NVE does not serve a VNIC: "unheard" (by ECP) is of the uplink, the rest of what was asked of it. */
export type Trouble = "unheard" | "no-answer" | "resources" | "manager" | "refused";

export type BookSettings = {
  vdp: VdpSettings;
  /** Until a request is made again: doubled each time; of what the NVE refused, always the same. */
  retryMs: { first: number; max: number; refused: number };
};

/** One step in the making: what it was given, and what has come of it so far. */
export type Turn = {
  peer: Peer;
  readonly vnics: Vnics;
  readonly owed: Map<Uuid, Association>;
  /** Those that were touched, as they were before; undefined: not there. */
  readonly before: Map<Uuid, Vnic | undefined>;
  readonly now: Instant;
  readonly settings: BookSettings;
  readonly times: VdpTimes;
  readonly messages: VsiMessage[];
  readonly outcomes: BookAction[];
  /** The NVE's own words in what was heard, and the VN IDs that it told. */
  said: string | undefined;
  ids: ReadonlyMap<Uuid, VnId>;
  readonly bind: Set<Uuid>;
};

/** Does the NVE know of it, or may it? */
export const isLive = ({ is }: Station): boolean =>
  is === "proc" || is === "up" || is === "keepalive";

export function put(turn: Turn, vnic: Vnic, bind = false): void {
  if (turn.vnics.get(vnic.name) !== vnic) {
    touch(turn, vnic.name);
    turn.vnics.set(vnic);
  }
  if (bind) turn.bind.add(vnic.name);
}

export function onVnic(turn: Turn, name: Uuid, then: (vnic: Vnic) => void): void {
  const vnic = turn.vnics.get(name);
  if (vnic !== undefined) then(vnic);
}

function touch({ before, vnics }: Turn, name: Uuid): void {
  if (!before.has(name)) before.set(name, vnics.get(name));
}

export function gone(turn: Turn, vnic: Vnic): void {
  touch(turn, vnic.name);
  turn.vnics.delete(vnic.name);
  if (vnic.granted !== undefined && !vnic.unbound) turn.bind.add(vnic.name);
  if (vnic.call !== undefined) turn.outcomes.push({ do: "done", call: vnic.call.id });
}

export function done(turn: Turn, vnic: Vnic, call: Call): void {
  turn.outcomes.push({ do: "done", call: call.id });
  put(turn, { ...vnic, call: undefined });
}

export function fail(turn: Turn, call: number, reason: string): void {
  turn.outcomes.push({ do: "failed", call, reason });
}

/** Another VNIC, of these, that has a MAC of this tree in the same VN (H5), in words. */
export function onAnother(
  vnics: Iterable<Pick<Vnic, "name" | "interface" | "wanted">>,
  name: Uuid,
  tree: Tree,
): string | undefined {
  let ours: Ours | undefined; // mostly there is no other to look at
  for (const other of vnics) {
    if (other.name === name) continue;
    ours ??= oursOf(tree);
    const both = bothHave(ours, other.wanted);
    if (both === undefined) continue;
    return `MAC ${both.mac} of VN ${both.vn} is on VNIC ${other.name} (${other.interface}) already`;
  }
  return undefined;
}

type Ours = { macs: ReadonlySet<Mac>; keys: ReadonlySet<string> };

function oursOf(tree: Tree): Ours {
  const all = leaves(tree);
  return { macs: new Set(all.map(({ mac }) => mac)), keys: new Set(all.flatMap(keysOf)) };
}

function bothHave({ macs, keys }: Ours, theirs: Tree): Leaf | undefined {
  if (!theirs.some((vn) => vn.macs.some(({ mac }) => macs.has(mac)))) return undefined; // of thousands nearly all
  return leaves(theirs).find((leaf) => keysOf(leaf).some((key) => keys.has(key)));
}

/** Of a {VN, MAC} pair: by VN ID and by VN Name, as far as they are known. */
const keysOf = ({ vn, name, mac }: Leaf): string[] =>
  [vn, name].flatMap((ref) => (ref === undefined ? [] : [`${ref} ${mac}`]));
