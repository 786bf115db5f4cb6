import type { Instant, Uuid } from "@nve/protocol-spec";
import type { Tree } from "../stations/tree.ts";
import type { BookAction, BookEvent, Part } from "../stations/turn.ts";
import { type Env, keyOf, type Nic } from "./nic.ts";
import type { Nics } from "./nics.ts";
import { type Move, type Spread, type SpreadEvent, stepSpread, type VnKey } from "./spread.ts";

/** All VNICs of this host, and which of their VNs goes over which uplink. */
export type Roster = {
  is: "roster";
  /** The same one from step to step: with hundreds of VNICs a copy would cost more than the step. */
  nics: Nics;
  spread: Spread;
  /** Number of the latest bindings. */
  binds: number;
  /** Number of the latest call to a book. */
  calls: number;
  deadline?: Instant;
};

export type RosterEvent =
  | {
      on: "attach";
      call: number;
      vnic: Uuid;
      interface: string;
      vm?: string;
      /** The only uplink to be used. */
      pinned?: string;
      tree: Tree;
      deadline: Instant;
    }
  /** `tree` is the whole of what the VNIC shall contain from now on. */
  | { on: "change"; call: number; vnic: Uuid; tree: Tree; deadline: Instant }
  /** Out of the virtual switch: what comes before a `detach`. */
  | { on: "unbind"; vnic: Uuid }
  | { on: "detach"; call: number; vnic: Uuid }
  | { on: "book"; uplink: string; action: FromBook }
  /** The virtual switch has the bindings of that number. */
  | { on: "bound"; binds: number }
  | { on: "stop" }
  | { on: "tick" };

/** What a book tells, besides what goes on the wire. */
export type FromBook = Exclude<BookAction, { do: "send" }>;

export type RosterAction =
  /** Comes before all else. */
  | { do: "bind"; binds: number }
  | { do: "feed"; uplink: string; event: BookEvent }
  | { do: "done"; call: number }
  | { do: "failed"; call: number; reason: string }
  | Move;

/** One step in the making. */
export type Work = {
  readonly nics: Nics;
  spread: Spread;
  binds: number;
  calls: number;
  readonly now: Instant;
  readonly env: Env;
  /** VNICs to be looked at once more before the step ends. */
  readonly touched: Set<Uuid>;
  bind: boolean;
  readonly wants: Map<string, Part[]>;
  readonly feeds: (RosterAction & { do: "feed" })[];
  readonly outcomes: RosterAction[];
};

export function put(work: Work, nic: Nic): void {
  work.nics.set(nic);
  work.touched.add(nic.name);
}

export const fail = (work: Work, call: number, reason: string): void =>
  void work.outcomes.push({ do: "failed", call, reason });

/** What one VNIC shall have on one uplink, for nobody who waits. */
export function want(work: Work, uplink: string, nic: Nic, tree: Tree): void {
  const vm = nic.vm === undefined ? {} : { vm: nic.vm };
  const part: Part = { vnic: nic.name, interface: nic.interface, ...vm, tree };
  work.wants.set(uplink, [...(work.wants.get(uplink) ?? []), part]);
}

/** Where a VN of a VNIC shall go. */
export const targetOf = (spread: Spread, { pinned }: Nic, vn: VnKey): string | undefined =>
  pinned ?? spread.vns.get(vn)?.on;

/** Feeds the spread; the VNICs of VNs that move are looked at again. */
export function spreadOn(work: Work, event: SpreadEvent): void {
  const [next, ...moves] = stepSpread(work.spread, event, work.now, work.env);
  work.spread = next;
  work.outcomes.push(...moves);
  if (moves.length === 0) return;
  const moved = new Set(moves.map(({ vn }) => vn));
  for (const { name, wanted } of work.nics.values()) {
    if (wanted.some((node) => moved.has(keyOf(node)))) work.touched.add(name);
  }
}

/** The VNs of a tree have a place from now on. */
export function join(work: Work, tree: Tree): void {
  for (const node of tree) {
    const vn = keyOf(node);
    if (!work.spread.vns.has(vn)) spreadOn(work, { on: "join", vn });
  }
}

/** VNs that no VNIC is in have a place no more. */
export function leaveUnused(work: Work): void {
  for (const vn of work.nics.takeLeft())
    if (work.spread.vns.has(vn)) spreadOn(work, { on: "leave", vn });
}
