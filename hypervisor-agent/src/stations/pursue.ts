import {
  type Association,
  type AssociationType,
  Instant,
  type StationAction,
  type StationEvent,
  stationStart,
  stepStation,
  VdpError,
  type VdpTlv,
} from "@nve/protocol-spec";
import { type Speaker, saidOf, unsayable } from "./set.ts";
import { faultOf, resolved, type Tree, unresolved } from "./tree.ts";
import {
  done,
  fail,
  gone,
  isLive,
  onAnother,
  onVnic,
  put,
  type Trouble,
  type Turn,
} from "./turn.ts";
import { notReady, sameBindings, type Vnic } from "./vnic.ts";
import { associateOf, refusalText, taggedIn, taggedLeaves, tagsOf } from "./vsi.ts";

/** The next step towards what is wanted of a VNIC, if one can be taken now. */
export function pursue(turn: Turn, vnic: Vnic): void {
  put(turn, vnic);
  const { station, granted, wanted, call, retry } = vnic;
  if (vnic.phase === "leaving" || station.is === "proc" || station.is === "leaving") return;
  const due = retry.at === undefined || retry.at <= turn.now;
  if (!isLive(station)) {
    if (due && notReady(turn.peer) === undefined) ask(turn, { ...vnic, station: stationStart });
  } else if (granted?.tree === wanted) {
    if (call !== undefined) done(turn, vnic, call);
  } else if (due && station.is === "up" && turn.peer.link === "up") {
    ask(turn, vnic); // in `keepalive` the answer is awaited first: it is to what was granted
  }
}

/** One De-Associate for all that it contains (H7, H19); none where no NVE knows of it or none can be told. */
export function leave(turn: Turn, vnic: Vnic): void {
  const bind = vnic.granted !== undefined && !vnic.unbound;
  const leaving: Vnic = { ...vnic, phase: "leaving", unbound: true };
  put(turn, leaving, bind);
  if (vnic.station.is === "leaving") return;
  if (turn.peer.link !== "up") goneUntold(turn, leaving);
  else if (isLive(vnic.station)) feed(turn, leaving, { on: "drop" });
  else gone(turn, leaving);
}

/** With the link down: the NVE, if it knows of it, is told when the link is up again. */
export function goneUntold(turn: Turn, vnic: Vnic): void {
  const { name, asking, granted, wanted, station } = vnic;
  if (isLive(station) || station.is === "leaving") {
    const tree = asking ?? granted?.tree ?? wanted;
    const tags = tagsOf(granted?.tagged ?? []);
    turn.owed.set(name, associateOf(name, tree, tags, turn.settings.vdp).association);
  }
  gone(turn, vnic);
}

/** One event for the station machine of a VNIC, and all that follows from it. */
export function feed(turn: Turn, vnic: Vnic, event: StationEvent): void {
  const [station, ...actions] = stepStation(vnic.station, event, turn.now, turn.times);
  put(turn, { ...vnic, station });
  for (const action of actions) onVnic(turn, vnic.name, (now) => perform(turn, now, action));
  onVnic(turn, vnic.name, (now) => pursue(turn, now));
}

/** One message, whatever is in it (H9). The tags that we have are asked for again; without any, for any. */
function ask(turn: Turn, vnic: Vnic): void {
  const { name, wanted, granted, retry } = vnic;
  const [named] = unresolved(wanted);
  if (named !== undefined && !turn.peer.reads.has("names")) {
    const reason = `the NVE on the uplink knows no VN Names: use the VN ID of ${named} in its place`;
    refused(turn, vnic, reason);
    return;
  }
  const fault = unsayableNow(turn, vnic, wanted);
  if (fault !== undefined) {
    refused(turn, vnic, fault);
    return;
  }
  const request = associateOf(name, wanted, tagsOf(granted?.tagged ?? []), turn.settings.vdp);
  const asking = { ...vnic, asking: wanted, setAsked: 0, retry: { count: retry.count } };
  feed(turn, asking, { on: "want", request });
}

function perform(turn: Turn, vnic: Vnic, action: StationAction): void {
  switch (action.do) {
    case "send":
      turn.messages.push(messageOf(turn, vnic, action.type, action.association));
      break;
    case "granted":
      granted(turn, vnic, action.request.association);
      break;
    case "kept":
      troubled(turn, vnic, "refused", action.code);
      kept(turn, vnic, refusalText(action.code, vnic.asking ?? vnic.wanted, turn.said));
      break;
    case "ended":
      ended(turn, vnic, action);
      break;
  }
}

function messageOf(turn: Turn, vnic: Vnic, type: AssociationType, association: Association) {
  const tlvs: VdpTlv[] = [{ is: "association", type, association }];
  if (type !== "de-associate") tlvs.push(...saidOf(speaker(turn, vnic), treeOf(vnic)).beside);
  return { vnic: vnic.name, tlvs };
}

const treeOf = ({ asking, granted, wanted }: Vnic): Tree => asking ?? granted?.tree ?? wanted;

/** Why a VNIC cannot be said to the NVE that is there, if there is one. */
export const unsayableNow = (turn: Turn, vnic: Pick<Vnic, "name" | "vm">, tree: Tree) =>
  notReady(turn.peer) === undefined ? unsayable(speaker(turn, vnic), tree) : undefined;

const speaker = ({ peer, settings }: Turn, { name, vm }: Pick<Vnic, "name" | "vm">): Speaker => ({
  vnic: name,
  vm,
  vdp: settings.vdp,
  reads: peer.reads,
});

/** Says the set of the request under way, and then the request. An NVE that asks for ever is not told for ever. */
export function saySet(turn: Turn, vnic: Vnic, asked: string): void {
  const { station, setAsked = 0 } = vnic;
  if (station.is !== "proc" && station.is !== "keepalive") return;
  const { hash, parts } = saidOf(speaker(turn, vnic), treeOf(vnic));
  if (hash !== asked || setAsked >= MAX_ASKED) return;
  put(turn, { ...vnic, setAsked: setAsked + 1 });
  for (const tlvs of parts) turn.messages.push({ vnic: vnic.name, tlvs, part: true });
  const { type, association } = station.is === "proc" ? station.request : station.granted;
  turn.messages.push(messageOf(turn, vnic, type, association));
}

const MAX_ASKED = 3;

function granted(turn: Turn, vnic: Vnic, association: Association): void {
  const tagged = taggedLeaves(association);
  if (typeof tagged === "string") {
    refused(turn, { ...vnic, asking: undefined }, tagged);
    return;
  }
  for (const other of turn.vnics.contradicting(tagged)) {
    if (other.name !== vnic.name) lose(turn, other);
  }
  const asked = vnic.asking ?? vnic.granted?.tree ?? vnic.wanted;
  const tree = resolved(asked, turn.ids);
  const now: Vnic = {
    ...vnic,
    wanted: vnic.wanted === asked ? tree : resolved(vnic.wanted, turn.ids),
    granted: { tree, tagged: taggedIn(tree, tagged) },
    asking: undefined,
    reason: undefined,
    phase: vnic.phase === "refused" ? "wanted" : vnic.phase,
    retry: { count: 0 },
  };
  const fault =
    tree === asked || vnic.call === undefined
      ? undefined
      : (faultOf(tree) ?? onAnother(turn.vnics.sharing(tree), vnic.name, tree));
  if (fault === undefined) {
    put(turn, now, !sameBindings(now, vnic));
    return;
  }
  // It could not be seen from a name. Frames go on as before, until the NVE has agreed to that again.
  const { tagged: bound = [] } = vnic.granted ?? {};
  refused(turn, { ...now, granted: { tree, tagged: bound } }, fault);
}

/** The older state stays, and what was wanted on top of it is not wanted any more. */
function kept(turn: Turn, vnic: Vnic, reason: string): void {
  const kept = { ...vnic, asking: undefined, call: undefined, reason };
  const older = vnic.granted?.tree ?? vnic.wanted;
  if (vnic.call === undefined) {
    put(turn, { ...kept, retry: later(turn) }); // nobody has said that it is not wanted
  } else {
    fail(turn, vnic.call.id, reason);
    put(turn, { ...kept, wanted: older });
  }
}

/** Tells what another uplink may do better. A refusal that the operator waits for is the answer. */
function troubled(turn: Turn, vnic: Vnic, why: Ended["why"], code: number | undefined): void {
  const is = troubleOf(why, code);
  if (is === undefined || (is === "refused" && vnic.call !== undefined)) return;
  turn.outcomes.push({ do: "trouble", vnic: vnic.name, is });
}

function troubleOf(why: Ended["why"], code: number | undefined): Trouble | undefined {
  if (why === "no-answer") return "no-answer";
  if (why !== "refused" && why !== "mismatch") return undefined;
  if (code === VdpError.insufficientResources) return "resources";
  return code === VdpError.managerUnreachable ? "manager" : "refused";
}

function ended(turn: Turn, vnic: Vnic, { why, code, hard }: Ended): void {
  if (vnic.phase === "leaving") {
    gone(turn, vnic);
    return;
  }
  const had = vnic.granted !== undefined;
  const reason = endText(turn, why, code, vnic.asking ?? vnic.wanted);
  const now: Vnic = {
    ...vnic,
    station: { is: "end" },
    granted: undefined,
    asking: undefined,
    reason,
  };
  put(turn, now, had);
  if (!had || why !== "refused") troubled(turn, vnic, why, code);
  // Code 0 refuses nothing: it is a late answer to a De-Associate of ours, of a time when nobody answered.
  const passes = code === VdpError.managerUnreachable || code === VdpError.success;
  const forGood = why === "mismatch" || (why === "refused" && (hard === true || !passes));
  if (!forGood) put(turn, { ...now, retry: backoff(turn, vnic) });
  // What was refused may have been only the tags of before: `pursue` asks with none.
  else if (!had) refused(turn, now, reason);
}

/** An answer that stays. The VNIC is as it was before the call, or not there at all (all or nothing). */
function refused(turn: Turn, vnic: Vnic, reason: string): void {
  const { call } = vnic;
  if (call !== undefined) fail(turn, call.id, reason);
  if (call?.for === "attach") leave(turn, { ...vnic, call: undefined });
  else if (call === undefined) put(turn, { ...vnic, phase: "refused", reason, retry: later(turn) });
  else put(turn, { ...vnic, wanted: call.older, call: undefined, reason });
}

/** One tag is one VN on this uplink: when the NVE lends it anew, who had it for another VN has it no more (P11). */
function lose(turn: Turn, vnic: Vnic): void {
  const reason = "the NVE lent its tag to another VN";
  const lost = { ...vnic, station: stationStart, granted: undefined, asking: undefined, reason };
  put(turn, { ...lost, retry: backoff(turn, vnic) }, true);
}

const later = ({ now, settings: { retryMs } }: Turn): Vnic["retry"] => ({
  count: 0,
  at: Instant(now + retryMs.refused),
});

function backoff({ now, settings: { retryMs } }: Turn, { retry: { count } }: Vnic): Vnic["retry"] {
  const ms = Math.min(retryMs.max, retryMs.first * 2 ** count);
  return { count: Math.min(count + 1, 30), at: Instant(now + ms) };
}

type Ended = StationAction & { do: "ended" };

function endText({ said }: Turn, why: Ended["why"], code: number | undefined, tree: Tree): string {
  switch (why) {
    case "refused":
      return refusalText(code ?? VdpError.other, tree, said);
    case "no-answer":
      return "the NVE did not answer";
    case "undelivered":
      return "the NVE does not acknowledge our messages (ECP gave up)";
    case "mismatch":
      return "the NVE answered with other addresses or tags than were asked for";
    case "ordered":
      return `the NVE disconnected it (De-Associate)${said === undefined ? "" : `: ${said}`}`;
    case "left":
      return "it left";
  }
}
