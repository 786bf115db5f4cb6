import { Instant, type Uuid } from "@nve/protocol-spec";
import { notReady } from "../stations/vnic.ts";
import { type Env, grantedKeys, keyOf, type Nic, partsOf } from "./nic.ts";
import { Nics } from "./nics.ts";
import { giveUp, objection, place } from "./place.ts";
import { emptySpread } from "./spread.ts";
import {
  type FromBook,
  fail,
  join,
  leaveUnused,
  put,
  type Roster,
  type RosterAction,
  type RosterEvent,
  spreadOn,
  targetOf,
  type Work,
} from "./work.ts";

export const emptyRoster = (uplinks: readonly string[]): Roster => ({
  is: "roster",
  nics: new Nics(),
  spread: emptySpread(uplinks),
  binds: 0,
  calls: 0,
});

/**
 * What the books of all uplinks shall have, so that each VNIC is connected as the operator wants it, each VN over the
 * uplink that `Spread` says. A request is done when all its VNs are granted, and leaves nothing behind when one is
 * refused. The books are looked at, never changed: `feed` says what they are to be told.
 */
export function stepRoster(
  roster: Roster,
  event: RosterEvent,
  now: Instant,
  env: Env,
): readonly [Roster, ...RosterAction[]] {
  const { nics } = roster;
  const work: Work = {
    nics,
    spread: roster.spread,
    binds: roster.binds,
    calls: roster.calls,
    now,
    env,
    touched: new Set(),
    bind: false,
    wants: new Map(),
    feeds: [],
    outcomes: [],
  };
  handle(work, event);
  for (const name of work.touched) {
    const nic = nics.get(name);
    if (nic !== undefined) place(work, nic);
  }
  leaveUnused(work);
  const { spread, bind, calls } = work;
  const binds = work.binds + (bind ? 1 : 0);
  const deadline = deadlineOf(work);
  return [
    { is: "roster", nics, spread, binds, calls, ...(deadline !== undefined && { deadline }) },
    ...(bind ? [{ do: "bind" as const, binds }] : []),
    ...[...work.wants].map(
      ([uplink, parts]) => ({ do: "feed", uplink, event: { on: "want", parts } }) as const,
    ),
    ...work.feeds,
    ...work.outcomes,
  ];
}

function handle(work: Work, event: RosterEvent): void {
  switch (event.on) {
    case "attach":
      attach(work, event);
      return;
    case "change":
      change(work, event);
      return;
    case "unbind":
      onNic(work, event.vnic, (nic) => put(work, { ...nic, unbound: true }));
      work.bind = true;
      return;
    case "detach":
      detach(work, event);
      return;
    case "book":
      fromBook(work, event.uplink, event.action);
      return;
    case "bound":
      bound(work, event.binds);
      return;
    case "stop":
      stop(work);
      return;
    case "tick":
      tick(work);
      return;
  }
}

// --- what the operator wants ---

function attach(work: Work, event: RosterEvent & { on: "attach" }): void {
  const { call: id, vnic: name, interface: of, vm, pinned, tree, deadline } = event;
  const nic: Nic = {
    name,
    interface: of,
    ...(vm !== undefined && { vm }),
    ...(pinned !== undefined && { pinned }),
    wanted: tree,
    leaving: false,
    unbound: false,
    at: new Map(),
    behind: [],
    fed: new Map(),
    call: { id, for: "attach", older: [], deadline, open: new Map() },
  };
  const fault = taken(work, name, of) ?? objection(work, nic);
  if (fault !== undefined) {
    fail(work, id, fault);
    return;
  }
  put(work, nic);
  join(work, tree);
}

function change(work: Work, { call: id, vnic: name, tree, deadline }: Changing): void {
  const nic = work.nics.get(name);
  if (nic === undefined || nic.leaving) {
    fail(work, id, `VNIC ${name} is not attached any more`);
    return;
  }
  if (nic.call !== undefined) {
    fail(work, id, `VNIC ${name} is being changed already: try again when that is done`);
    return;
  }
  const call = { id, for: "change", older: nic.wanted, deadline, open: new Map() } as const;
  const next: Nic = { ...nic, wanted: tree, call };
  const fault = objection(work, next);
  if (fault !== undefined) {
    fail(work, id, fault);
    return;
  }
  put(work, next);
  join(work, tree);
}

type Changing = RosterEvent & { on: "change" };

function detach(work: Work, { call: id, vnic: name }: RosterEvent & { on: "detach" }): void {
  const nic = work.nics.get(name);
  if (nic === undefined || nic.leaving) {
    fail(work, id, `VNIC ${name} is leaving already`);
    return;
  }
  if (nic.call !== undefined) fail(work, nic.call.id, `VNIC ${name} was detached meanwhile`);
  const call = { id, for: "detach", older: [], open: new Map() } as const;
  work.bind ||= !nic.unbound;
  put(work, { ...nic, leaving: true, unbound: true, call });
}

function stop(work: Work): void {
  for (const nic of work.nics.values()) {
    if (nic.leaving) continue;
    if (nic.call !== undefined) fail(work, nic.call.id, "the agent ends");
    put(work, { ...nic, leaving: true, unbound: true, call: undefined });
  }
  work.bind = true;
}

function taken({ nics }: Work, name: Uuid, of: string): string | undefined {
  const other = nics.get(name) ?? nics.on(of);
  if (other === undefined) return undefined;
  const which = other.name === name ? `VNIC ${name}` : `interface ${of}`;
  if (other.leaving) {
    return `${which} is not free yet: the NVE has not confirmed that VNIC ${other.name} is gone; try again in a moment`;
  }
  const where = other.name === name ? `to ${other.interface}` : `as VNIC ${other.name}`;
  return `${which} is attached already, ${where}: change or detach that`;
}

// --- what the books tell ---

function fromBook(work: Work, uplink: string, action: FromBook): void {
  switch (action.do) {
    case "bind":
      work.bind = true;
      for (const vnic of action.vnics) work.touched.add(vnic);
      return;
    case "done":
      onCall(work, uplink, action.call, (nic, _before, open) =>
        put(work, { ...nic, call: nic.call && { ...nic.call, open } }),
      );
      return;
    case "failed":
      onCall(work, uplink, action.call, (nic, before, open) => {
        const fed = new Map(nic.fed).set(uplink, before);
        giveUp(work, { ...nic, fed, call: nic.call && { ...nic.call, open } }, action.reason);
      });
      return;
    case "report":
      work.touched.add(action.vnic);
      return;
    case "readiness":
      spreadOn(work, { on: "uplink", uplink, ready: action.notReady === undefined });
      return;
    case "trouble":
      trouble(work, uplink, action);
      return;
  }
}

/** The VNIC that waits for this call to a book, if it does still. */
function onCall(
  work: Work,
  uplink: string,
  id: number,
  then: (
    nic: Nic,
    before: Nic["wanted"],
    open: Map<string, { id: number; before: Nic["wanted"] }>,
  ) => void,
): void {
  const nic = work.nics.waitingFor(id);
  const mine = nic?.call?.open.get(uplink);
  if (nic === undefined || mine?.id !== id) return;
  const open = new Map(nic.call?.open);
  open.delete(uplink);
  then(nic, mine.before, open);
}

/** Of VNs that are in force nothing is lost yet. */
function trouble(work: Work, uplink: string, { vnic, is }: FromBook & { do: "trouble" }): void {
  if (is === "unheard") {
    spreadOn(work, { on: "trouble", uplink });
    return;
  }
  onNic(work, vnic, (nic) => {
    const part = partsOf(nic, work.env).get(uplink);
    const served = part === undefined ? new Set() : grantedKeys(part);
    for (const node of nic.fed.get(uplink) ?? []) {
      const vn = keyOf(node);
      const here = targetOf(work.spread, nic, vn) === uplink && nic.pinned === undefined;
      if (here && !served.has(vn)) spreadOn(work, { on: "trouble", uplink, vn });
    }
  });
}

function bound(work: Work, binds: number): void {
  for (const nic of work.nics.behind()) {
    const behind = nic.behind.filter((one) => one.binds > binds);
    if (behind.length < nic.behind.length) put(work, { ...nic, behind });
  }
}

// --- time ---

function tick(work: Work): void {
  spreadOn(work, { on: "tick" });
  for (const nic of work.nics.takeDue(work.now))
    giveUp(work, nic, `not connected in time: ${whyNot(work, nic)}`);
}

function whyNot(work: Work, nic: Nic): string {
  const parts = partsOf(nic, work.env);
  for (const node of nic.wanted) {
    const uplink = targetOf(work.spread, nic, keyOf(node)) ?? "";
    const book = work.env.book(uplink);
    const why = (book && notReady(book.peer)) ?? parts.get(uplink)?.reason;
    if (why !== undefined) return why;
  }
  return "the NVE has not answered";
}

function deadlineOf({ nics, spread }: Work): Instant | undefined {
  const first = Math.min(spread.deadline ?? Number.POSITIVE_INFINITY, nics.firstDue);
  return Number.isFinite(first) ? Instant(first) : undefined;
}

function onNic(work: Work, name: Uuid, then: (nic: Nic) => void): void {
  const nic = work.nics.get(name);
  if (nic !== undefined) then(nic);
}
