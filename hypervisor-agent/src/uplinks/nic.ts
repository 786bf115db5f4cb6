import type { Instant, Uuid, VnId } from "@nve/protocol-spec";
import { resolved, type Tree } from "../stations/tree.ts";
import type { Book } from "../stations/turn.ts";
import { bindingsOf, notReady, type Vnic, type VnicState } from "../stations/vnic.ts";
import type { TaggedLeaf } from "../stations/vsi.ts";
import type { Binding } from "../vm-port/vm-port.ts";
import type { VnKey } from "./spread.ts";

/**
 * A VNIC of this host over all its uplinks. In each uplink's book there is a VNIC of the same name with those of its
 * VNs that go over that uplink.
 */
export type Nic = {
  name: Uuid;
  interface: string;
  vm?: string;
  /** The one uplink that the operator allows. */
  pinned?: string;
  wanted: Tree;
  /** On its way out of all books. */
  leaving: boolean;
  /** Off in the virtual switch, whatever is granted. */
  unbound: boolean;
  /** Where each VN is granted and bound. */
  at: ReadonlyMap<VnKey, string>;
  /** From where VNs have gone; there they stay until the virtual switch has the bindings of that number. */
  behind: readonly { vn: VnKey; uplink: string; binds: number }[];
  /** What the book of each uplink was asked for last. */
  fed: ReadonlyMap<string, Tree>;
  call?: NicCall | undefined;
};

/** A request of the operator: all or nothing over all uplinks. */
export type NicCall = {
  id: number;
  for: "attach" | "change" | "detach";
  older: Tree;
  deadline?: Instant;
  /** Calls to books, by uplink, and what the book is back to if it fails. */
  open: ReadonlyMap<string, { id: number; before: Tree }>;
};

/** What is outside of the roster: the books, and what the operator has set. */
export type Env = {
  /** Names of all uplinks. */
  uplinks: readonly string[];
  /** `undefined`: it is not open yet. */
  book(uplink: string): Book | undefined;
  /** Until VNs go home, milliseconds; Infinity: never. */
  failbackMs: number;
};

export const keyOf = ({ vn, name }: Tree[number]): VnKey => name ?? String(vn);

/** What the books have of a VNIC, by uplink. */
export const partsOf = ({ name }: Pick<Nic, "name">, env: Env): Map<string, Vnic> =>
  new Map(
    env.uplinks.flatMap((uplink) => {
      const vnic = env.book(uplink)?.vnics.get(name);
      return vnic === undefined ? [] : [[uplink, vnic] as const];
    }),
  );

/** The VNs that this part of a VNIC has in force. */
export const grantedKeys = ({ granted, phase }: Vnic): Set<VnKey> =>
  new Set(phase === "leaving" ? [] : granted?.tree.map(keyOf));

/** With the VN IDs that the NVEs have told of its VN Names; the same one when there is nothing new. */
export function learnt(nic: Nic, parts: ReadonlyMap<string, Vnic>): Nic {
  const ids = new Map<Uuid, VnId>();
  for (const { granted } of parts.values()) {
    for (const { vn, name } of granted?.tree ?? []) {
      if (name !== undefined && typeof vn === "number") ids.set(name, vn);
    }
  }
  const wanted = resolved(nic.wanted, ids);
  if (wanted === nic.wanted) return nic;
  const fed = new Map([...nic.fed].map(([uplink, tree]) => [uplink, resolved(tree, ids)]));
  const call = nic.call && { ...nic.call, older: resolved(nic.call.older, ids) };
  return { ...nic, wanted, fed, call };
}

/** What the virtual switch shall have: each VN over the uplink where it is in force, and over no other. */
export function allBindings(nics: Iterable<Nic>, { uplinks, book }: Env): Binding[] {
  const all: Binding[] = [];
  const books = uplinks.map((uplink) => ({ uplink, vnics: book(uplink)?.vnics }));
  for (const nic of nics) {
    if (nic.unbound) continue;
    for (const { uplink, vnics } of books) {
      const part = vnics?.get(nic.name);
      if (part !== undefined) all.push(...bindingsAt(nic, uplink, part));
    }
  }
  return all;
}

/** Of hundreds of VNICs one has changed: the others' are the same objects as before. */
function bindingsAt(nic: Nic, uplink: string, part: Vnic): readonly Binding[] {
  const known = made.get(part);
  if (known !== undefined && known.at === nic.at && known.uplink === uplink) return known.bindings;
  const bindings = bindingsOf([inForce(nic, uplink, part)]).map((one) => ({ ...one, uplink }));
  made.set(part, { at: nic.at, uplink, bindings });
  return bindings;
}

const made = new WeakMap<Vnic, { at: Nic["at"]; uplink: string; bindings: readonly Binding[] }>();

/** A part of a VNIC with those VNs alone that go over its uplink. */
function inForce({ at }: Nic, uplink: string, part: Vnic): Vnic {
  if (part.granted === undefined) return part;
  const { tree, tagged } = part.granted;
  const here = new Set(tree.filter((node) => at.get(keyOf(node)) === uplink).map(({ vn }) => vn));
  return { ...part, granted: { tree, tagged: tagged.filter(({ vn }) => here.has(vn)) } };
}

export type NicView = {
  state: VnicState;
  reason: string | undefined;
  /** Of the VNs that are in force. */
  over: ReadonlyMap<VnKey, string>;
  tagged: readonly TaggedLeaf[];
  mtus: ReadonlyMap<VnId, number>;
};

/** @param targetOf where a VN shall go */
export function viewOf(nic: Nic, env: Env, targetOf: (vn: VnKey) => string | undefined): NicView {
  const parts = partsOf(nic, env);
  const inUse = [...parts].map(([uplink, part]) => inForce(nic, uplink, part));
  const state = wholeState(nic, parts, targetOf);
  return {
    state,
    reason: reasonOf(nic, parts, state, env, targetOf),
    over: nic.at,
    tagged: nic.leaving ? [] : inUse.flatMap(({ granted }) => granted?.tagged ?? []),
    mtus: new Map(inUse.flatMap(({ mtus }) => [...(mtus ?? [])])),
  };
}

function wholeState(
  { leaving, wanted, at, call }: Nic,
  parts: ReadonlyMap<string, Vnic>,
  targetOf: (vn: VnKey) => string | undefined,
): VnicState {
  if (leaving) return "leaving";
  const shown = call?.for === "change" ? call.older : wanted;
  const missing = shown.map(keyOf).filter((key) => !at.has(key) || at.get(key) !== targetOf(key));
  if (missing.length === 0) return "associated";
  const states = new Set(
    missing.map((key) => {
      const part = parts.get(targetOf(key) ?? "");
      if (part?.phase === "refused") return "refused";
      return part?.station.is === "proc" ? "associating" : "waiting";
    }),
  );
  if (states.has("refused")) return "refused";
  return states.has("waiting") ? "waiting" : "associating";
}

/** With several uplinks each reason says of which it is. */
function reasonOf(
  { wanted }: Nic,
  parts: ReadonlyMap<string, Vnic>,
  state: VnicState,
  env: Env,
  targetOf: (vn: VnKey) => string | undefined,
): string | undefined {
  const used = new Set(wanted.map((node) => targetOf(keyOf(node)) ?? ""));
  const reasons = [...new Set([...used, ...parts.keys()])].flatMap((uplink) => {
    const book = env.book(uplink);
    const lacking = state === "waiting" && used.has(uplink) && book && notReady(book.peer);
    const reason = lacking || parts.get(uplink)?.reason;
    if (reason === undefined) return [];
    return [env.uplinks.length === 1 ? reason : `${uplink}: ${reason}`];
  });
  return reasons.length === 0 ? undefined : reasons.join("; ");
}
