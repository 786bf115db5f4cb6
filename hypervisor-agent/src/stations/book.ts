import type { LinkState } from "@nve/linux";
import {
  type Association,
  type EvbAgreed,
  Instant,
  stationStart,
  type Uuid,
  uuidOfVsi,
  VdpError,
  type VdpTlv,
  type VnId,
  vdpTimes,
} from "@nve/protocol-spec";
import { feed, goneUntold, leave, pursue, saySet, unsayableNow } from "./pursue.ts";
import { faultOf, leaves, type Tree } from "./tree.ts";
import {
  type Attach,
  type Book,
  type BookAction,
  type BookEvent,
  type BookSettings,
  type Change,
  fail,
  type Heard,
  isLive,
  onAnother,
  onVnic,
  type Part,
  put,
  type Turn,
} from "./turn.ts";
import { notReady, type Peer, stateOf, type Vnic } from "./vnic.ts";
import { Vnics } from "./vnics.ts";
import { batched, sameKind, withVnIds } from "./vsi.ts";

export const emptyBook = (link: LinkState, evb: EvbAgreed): Book => ({
  is: "book",
  peer: { link, evb, reads: new Set() },
  vnics: new Vnics(),
  owed: new Map(),
});

/**
 * What to say next about the VSIs of one uplink, one station machine for each VNIC (802.1Q §41.5). While the
 * link is down nothing times out but the operator's calls; when it is up again all is said again.
 *
 *   waiting ─peer ready─► associating ─granted─► associated ─changed─► associated
 *      ▲ ▲                  │  └─refused─► refused, or forgotten when it was to be attached
 *      │ └──no answer───────┘
 *      └──────lost, or disconnected by the NVE──────associated ─detach─► leaving ─► gone
 *
 * A step costs as much as it touches. For that the book is handed over: it is changed in its place, and only the
 * one that is given back may be used afterwards.
 */
export function stepBook(
  book: Book,
  event: BookEvent,
  now: Instant,
  settings: BookSettings,
): readonly [Book, ...BookAction[]] {
  const turn: Turn = {
    peer: book.peer,
    vnics: book.vnics,
    owed: book.owed,
    before: new Map(),
    now,
    settings,
    times: vdpTimes(event.on === "peer" ? event.evb : book.peer.evb),
    messages: [],
    outcomes: [],
    said: undefined,
    ids: new Map(),
    bind: new Set(),
  };
  handle(turn, event);
  const { peer, vnics, owed, bind, messages, outcomes } = turn;
  schedule(turn, book.peer);
  const first = vnics.firstDue;
  const deadline = first === Number.NEGATIVE_INFINITY ? now : Instant(first);
  return [
    { is: "book", peer, vnics, owed, ...(Number.isFinite(deadline) && { deadline }) },
    ...(bind.size > 0 ? [{ do: "bind" as const, vnics: [...bind] }] : []),
    ...batched(messages, settings.vdp.manager).map((batch) => ({ do: "send" as const, ...batch })),
    ...readiness(book.peer, peer),
    ...outcomes,
    ...reports(turn),
  ];
}

function handle(turn: Turn, event: BookEvent): void {
  switch (event.on) {
    case "attach":
      attach(turn, event);
      break;
    case "change":
      change(turn, event);
      break;
    case "want":
      for (const part of event.parts) want(turn, part);
      break;
    case "detach":
      detach(turn, event);
      break;
    case "association":
      hear(turn, event);
      break;
    case "heard":
      for (const one of event.all) hear(turn, one);
      break;
    case "set-asked":
      onVnic(turn, event.vnic, (vnic) => saySet(turn, vnic, event.hash));
      break;
    case "undelivered":
      if (turn.peer.link === "up") undelivered(turn, event.vnics); // else all is said again when it is
      break;
    case "link":
      linkIs(turn, event.state);
      break;
    case "peer":
      peerIs(turn, event.evb, event.reads);
      break;
    case "peer-anew":
      for (const vnic of turn.vnics.values()) again(turn, vnic);
      break;
    case "stop":
      for (const vnic of turn.vnics.values()) stop(turn, vnic);
      break;
    case "tick":
      for (const name of turn.vnics.takeDue(turn.now)) {
        onVnic(turn, name, (vnic) => tick(turn, vnic));
      }
      break;
  }
}

// --- what the operator wants ---

function attach(turn: Turn, event: Attach): void {
  const { call: id, vnic: name, interface: of, vm, tree, deadline } = event;
  const fault = taken(turn, name, of) ?? objection(turn, name, tree, vm);
  if (fault !== undefined) {
    fail(turn, id, fault);
    return;
  }
  const call = { id, for: "attach", deadline, older: [] } as const;
  pursue(turn, { ...unknownYet(name, of, vm), wanted: tree, call });
}

const unknownYet = (name: Uuid, of: string, vm: string | undefined): Vnic => ({
  name,
  interface: of,
  ...(vm !== undefined && { vm }),
  wanted: [],
  station: stationStart,
  phase: "wanted",
  retry: { count: 0 },
  unbound: false,
});

function change(turn: Turn, { call: id, vnic: name, tree, deadline }: Change): void {
  const vnic = turn.vnics.get(name);
  if (vnic === undefined || vnic.phase === "leaving") {
    fail(turn, id, `VNIC ${name} is not attached any more`);
  } else if (vnic.call !== undefined) {
    fail(turn, id, `VNIC ${name} is being changed already: try again when that is done`);
  } else {
    const fault = objection(turn, name, tree, vnic.vm);
    if (fault !== undefined) fail(turn, id, fault);
    else pursue(turn, { ...vnic, ...anew, wanted: tree, call: changing(vnic, id, deadline) });
  }
}

const changing = (vnic: Vnic, id: number, deadline: Instant): Vnic["call"] => ({
  id,
  for: "change",
  deadline,
  older: vnic.wanted,
});

function detach(turn: Turn, { call, vnic: name }: BookEvent & { on: "detach" }): void {
  const vnic = turn.vnics.get(name);
  if (vnic === undefined || vnic.phase === "leaving") {
    fail(turn, call, `VNIC ${name} is leaving already`);
    return;
  }
  if (vnic.call !== undefined) fail(turn, vnic.call.id, `VNIC ${name} was detached meanwhile`);
  leave(turn, { ...vnic, call: { id: call, for: "detach", older: [] } });
}

function stop(turn: Turn, vnic: Vnic): void {
  if (vnic.phase === "leaving") return;
  if (vnic.call !== undefined) fail(turn, vnic.call.id, "the agent ends");
  leave(turn, { ...vnic, call: undefined });
}

/** Why a VNIC cannot contain this, here; `undefined` when it can. */
function objection(turn: Turn, name: Uuid, tree: Tree, vm: string | undefined): string | undefined {
  return (
    faultOf(tree) ??
    unsayableNow(turn, { name, ...(vm !== undefined && { vm }) }, tree) ??
    onAnother(turn.vnics.sharing(tree), name, tree)
  );
}

function taken({ vnics }: Turn, name: Uuid, of: string): string | undefined {
  const other = vnics.get(name) ?? vnics.on(of);
  if (other === undefined) return undefined;
  const which = other.name === name ? `VNIC ${name}` : `interface ${of}`;
  if (other.phase === "leaving") {
    return `${which} is not free yet: the NVE has not confirmed that VNIC ${other.name} is gone; try again in a moment`;
  }
  const where = other.name === name ? `to ${other.interface}` : `as VNIC ${other.name}`;
  return `${which} is attached already, ${where}: change or detach that`;
}

function want(turn: Turn, { vnic: name, interface: of, vm, tree }: Part): void {
  const vnic = turn.vnics.get(name);
  if (vnic?.phase === "leaving") return;
  if (tree.length === 0) {
    if (vnic !== undefined) leave(turn, { ...vnic, call: undefined });
    return;
  }
  const now: Vnic = {
    ...(vnic ?? unknownYet(name, of, vm)),
    ...anew,
    wanted: tree,
    call: undefined,
  };
  const fault = objection(turn, name, tree, now.vm);
  if (fault !== undefined) {
    turn.outcomes.push({ do: "trouble", vnic: name, is: "resources" });
    if (vnic !== undefined) put(turn, { ...vnic, call: undefined, reason: fault });
  } else if (turn.peer.link !== "up" && shrinks(now)) {
    pursue(turn, forgotten(turn, now)); // what has gone elsewhere must not be said again when the link is up
  } else {
    pursue(turn, now);
  }
}

/** As if the NVE knew nothing of it: it is told anew. */
function forgotten(turn: Turn, vnic: Vnic): Vnic {
  turn.bind.add(vnic.name);
  return { ...vnic, station: stationStart, granted: undefined, asking: undefined };
}

function shrinks({ granted, asking, wanted }: Vnic): boolean {
  const left = new Set(leaves(wanted).map(({ vn, mac }) => `${vn} ${mac}`));
  const said = [...leaves(granted?.tree ?? []), ...leaves(asking ?? [])];
  return said.some(({ vn, mac }) => !left.has(`${vn} ${mac}`));
}

// --- what the other end says ---

function hear(turn: Turn, heard: Heard): void {
  const { type, association, names, mtus = new Map() } = heard;
  turn.said = heard.reason;
  turn.ids = idsIn(heard);
  const name = uuidOfVsi(association.vsiId);
  if (name === undefined || !sameKind(association, turn.settings.vdp)) return; // spec/vdp.md 3
  const { status } = association;
  const grants =
    status.is === "response" && status.code === VdpError.success && type !== "de-associate";
  if (grants && !turn.vnics.has(name)) giveBack(turn, name, association);
  onVnic(turn, name, (vnic) => {
    if (status.is === "response") {
      const inForce = withVnIds(association.filters, names);
      const told = { ...vnic, setAsked: 0, ...(grants && { mtus }) };
      feed(turn, told, { on: "response", type, association, inForce });
    } else if (type === "de-associate") {
      feed(turn, vnic, { on: "order" });
    }
  });
}

/** Granted to a VNIC that has gone meanwhile: the NVE would keep its tag until the keepalive timeout. */
function giveBack(turn: Turn, vnic: Uuid, association: Association): void {
  const status = { is: "request", suspended: false, migrating: false, code: 0 } as const;
  const gone = { ...association, status };
  turn.messages.push({
    vnic,
    tlvs: [{ is: "association", type: "de-associate", association: gone }],
  });
}

/** What the NVE told of VN Names. */
const idsIn = ({ names }: Heard): ReadonlyMap<Uuid, VnId> =>
  new Map([...(names?.values() ?? [])].flatMap(({ name, vn }) => (vn ? [[name, vn]] : [])));

/** What was granted outlives one PDU that is not acknowledged; another uplink may do better meanwhile. */
function undelivered(turn: Turn, vnics: readonly Uuid[]): void {
  const [vnic] = vnics;
  if (vnic !== undefined) turn.outcomes.push({ do: "trouble", vnic, is: "unheard" });
  for (const name of vnics) onVnic(turn, name, (vnic) => feed(turn, vnic, { on: "undelivered" }));
}

function linkIs(turn: Turn, state: LinkState): void {
  const wasUp = turn.peer.link === "up";
  turn.peer = { ...turn.peer, link: state };
  if (wasUp === (state === "up")) return;
  for (const vnic of turn.vnics.values()) {
    if (state === "up") again(turn, vnic);
    else if (vnic.phase === "leaving") goneUntold(turn, vnic);
  }
  if (state === "up") payOwed(turn);
}

/** De-Associate of what left while the link was down: else the NVE would have it until its keepalive timeout. */
function payOwed(turn: Turn): void {
  for (const [vnic, association] of turn.owed) {
    const tlvs: VdpTlv[] = [{ is: "association", type: "de-associate", association }];
    if (!turn.vnics.has(vnic)) turn.messages.push({ vnic, tlvs });
  }
  turn.owed.clear();
}

const readiness = (before: Peer, now: Peer): BookAction[] =>
  notReady(before) === notReady(now) ? [] : [{ do: "readiness", notReady: notReady(now) }];

function peerIs(turn: Turn, evb: EvbAgreed, reads: Peer["reads"]): void {
  const before = turn.peer;
  turn.peer = { ...before, evb, reads };
  const appeared = notReady(turn.peer) === undefined && notReady(before) !== undefined;
  const addresses = ADDRESSES.some((kind) => reads.has(kind) && !before.reads.has(kind));
  for (const vnic of turn.vnics.values()) {
    // A request under way was sent just now, to this very peer.
    if (appeared && vnic.station.is !== "proc") again(turn, vnic);
    else if (addresses && hasIps(vnic)) pursue(turn, { ...vnic, wanted: [...vnic.wanted] });
  }
}

const ADDRESSES = ["addresses", "prefixes", "sets"] as const;

const hasIps = ({ wanted }: Vnic): boolean => leaves(wanted).some(({ ips }) => ips.length > 0);

/** Says what is current once more, after link up or to a peer that came back (spec/vdp.md 5, last row). */
function again(turn: Turn, vnic: Vnic): void {
  if (vnic.phase === "leaving") return;
  const said = vnic.asking ?? vnic.granted?.tree ?? vnic.wanted;
  if (!isLive(vnic.station)) pursue(turn, { ...vnic, ...anew });
  else if (unsayableNow(turn, vnic, said) === undefined) {
    feed(turn, { ...vnic, ...anew, setAsked: 0 }, { on: "link-up" });
  } else {
    pursue(turn, forgotten(turn, { ...vnic, ...anew })); // another NVE, which takes less
  }
}

/** What was refused before, or failed, may go now. */
const anew: Pick<Vnic, "phase" | "retry"> = { phase: "wanted", retry: { count: 0 } };

// --- time ---

function tick(turn: Turn, vnic: Vnic): void {
  const { call, station } = vnic;
  if (call?.deadline !== undefined && call.deadline <= turn.now) {
    const why = notReady(turn.peer) ?? vnic.reason ?? "the NVE has not answered";
    fail(turn, call.id, `not connected in time: ${why}`);
    if (call.for === "attach") leave(turn, { ...vnic, call: undefined });
    else pursue(turn, { ...vnic, call: undefined, wanted: call.older });
  } else if (turn.peer.link === "up" && "deadline" in station && station.deadline <= turn.now) {
    feed(turn, vnic, { on: "tick" });
  } else {
    pursue(turn, vnic);
  }
}

/** When those that were touched are due; and all of them, where that hangs on the peer. */
function schedule({ vnics, before, peer }: Turn, was: Peer): void {
  const asBefore =
    (was.link === "up") === (peer.link === "up") &&
    (notReady(was) === undefined) === (notReady(peer) === undefined);
  if (asBefore) for (const name of before.keys()) vnics.schedule(name, peer);
  else for (const { name } of vnics.values()) vnics.schedule(name, peer);
}

function reports({ vnics, before }: Turn): BookAction[] {
  const out: BookAction[] = [];
  for (const [vnic, was] of before) {
    const now = vnics.get(vnic);
    if (now === undefined) {
      if (was !== undefined) out.push({ do: "report", vnic, state: "gone", reason: undefined });
      continue;
    }
    const state = stateOf(now);
    if (was === undefined || stateOf(was) !== state || was.reason !== now.reason) {
      out.push({ do: "report", vnic, state, reason: now.reason });
    }
  }
  return out;
}
