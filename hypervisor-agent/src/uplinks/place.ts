import { faultOf, leaves, type Tree } from "../stations/tree.ts";
import { type BookEvent, onAnother } from "../stations/turn.ts";
import type { Vnic } from "../stations/vnic.ts";
import { grantedKeys, keyOf, learnt, type Nic, type NicCall, partsOf } from "./nic.ts";
import type { VnKey } from "./spread.ts";
import { fail, put, targetOf, type Work, want } from "./work.ts";

type Parts = ReadonlyMap<string, Vnic>;
/** What of a VNIC an uplink shall have. */
type Share = { uplink: string; tree: Tree };

/**
 * The next step of a VNIC towards where its VNs shall go: a VN is asked for at the new uplink first, then bound in
 * the virtual switch, then given back at the old one.
 */
export function place(work: Work, before: Nic): void {
  const parts = partsOf(before, work.env);
  if (before.leaving) {
    leaveAll(work, before, parts);
    return;
  }
  const known = learnt(before, parts);
  const now = whereNow(work, known, parts);
  work.nics.set(now);
  const fault = known === before || now.call === undefined ? undefined : objection(work, now);
  if (fault !== undefined) {
    giveUp(work, now, fault); // which could not be seen from a VN Name
    place(work, work.nics.get(now.name) ?? now);
    return;
  }
  ask(work, now, parts);
}

/** Why a VNIC cannot contain what it shall; `undefined` when it can. */
export const objection = (work: Work, { name, wanted }: Nic): string | undefined =>
  faultOf(wanted) ?? onAnother(work.nics.sharing(wanted), name, wanted);

/** The call has failed: the VNIC is as it was before, or not there at all. */
export function giveUp(work: Work, nic: Nic, reason: string): void {
  const { call } = nic;
  if (call === undefined) return;
  fail(work, call.id, reason);
  const rest = { ...nic, call: undefined };
  if (call.for === "change") put(work, { ...rest, wanted: call.older });
  else put(work, { ...rest, leaving: true, unbound: true });
}

function leaveAll(work: Work, nic: Nic, parts: Parts): void {
  for (const [uplink, { phase }] of parts) if (phase !== "leaving") want(work, uplink, nic, []);
  if (parts.size > 0) return;
  work.nics.delete(nic.name);
  if (nic.call !== undefined) work.outcomes.push({ do: "done", call: nic.call.id });
}

/** Where each VN is in force now: where it shall be as soon as it is granted there, and before that where it was. */
function whereNow(work: Work, nic: Nic, parts: Parts): Nic {
  const granted = new Map([...parts].map(([uplink, part]) => [uplink, grantedKeys(part)]));
  const at = new Map<VnKey, string>();
  const gone: VnKey[] = [];
  for (const key of new Set([...granted.values()].flatMap((keys) => [...keys]))) {
    const has = (uplink: string | undefined): uplink is string =>
      uplink !== undefined && granted.get(uplink)?.has(key) === true;
    const [target, was] = [targetOf(work.spread, nic, key), nic.at.get(key)];
    const next = [target, was, ...granted.keys()].find(has);
    if (next === undefined) continue;
    at.set(key, next);
    if (was !== next && has(was)) gone.push(key);
  }
  if (sameMap(at, nic.at)) return nic;
  work.bind = true;
  const binds = work.binds + 1;
  const left = gone.map((vn) => ({ vn, uplink: nic.at.get(vn) ?? "", binds }));
  return { ...nic, at, behind: [...nic.behind, ...left] };
}

/** Asks the books for what is different now. */
function ask(work: Work, nic: Nic, parts: Parts): void {
  const different = work.env.uplinks.flatMap((uplink): Share[] => {
    const tree = sharesOf(work, nic, uplink);
    const same = sameTree(tree, nic.fed.get(uplink) ?? []);
    return same || parts.get(uplink)?.phase === "leaving" ? [] : [{ uplink, tree }];
  });
  const { call } = nic;
  const isStale = ({ uplink }: Share): boolean => call === undefined || call.open.has(uplink);
  const free = different.filter(isStale);
  const fed = new Map(nic.fed);
  for (const { uplink, tree } of free) {
    fed.set(uplink, tree);
    want(work, uplink, nic, tree);
  }
  if (call === undefined) work.nics.set({ ...nic, fed });
  else
    askInCall(
      work,
      { ...nic, fed },
      without(call, free),
      parts,
      different.filter((one) => !isStale(one)),
    );
}

/** Those that gain something go first, as only they can refuse. */
function askInCall(
  work: Work,
  nic: Nic,
  call: NicCall,
  parts: Parts,
  different: readonly Share[],
): void {
  const fed = new Map(nic.fed);
  const open = new Map(call.open);
  const gaining = different.filter(({ uplink, tree }) => gains(fed.get(uplink) ?? [], tree));
  const now = gaining.length > 0 || open.size > 0 ? gaining : different;
  for (const { uplink, tree } of now) {
    work.calls += 1;
    open.set(uplink, { id: work.calls, before: fed.get(uplink) ?? [] });
    fed.set(uplink, tree);
    const event = eventOf(work.calls, tree, nic, call, parts.has(uplink));
    work.feeds.push({ do: "feed", uplink, event });
  }
  const still = { ...nic, fed, call: { ...call, open } };
  const done = open.size === 0 && now.length === different.length && isDone(work, still);
  work.nics.set(done ? { ...still, call: undefined } : still);
  if (done) work.outcomes.push({ do: "done", call: call.id });
}

/** Calls to books that shall have something else by now are not awaited any more. */
function without(call: NicCall, shares: readonly Share[]): NicCall {
  const open = new Map(call.open);
  for (const { uplink } of shares) open.delete(uplink);
  return { ...call, open };
}

/** What of a VNIC belongs on an uplink: what shall go there, and what has not got away from there yet. */
function sharesOf(work: Work, nic: Nic, uplink: string): Tree {
  const held = new Set(nic.behind.filter((one) => one.uplink === uplink).map(({ vn }) => vn));
  return nic.wanted.filter((node) => {
    const key = keyOf(node);
    return (
      targetOf(work.spread, nic, key) === uplink || nic.at.get(key) === uplink || held.has(key)
    );
  });
}

function gains(before: Tree, now: Tree): boolean {
  const had = new Set(leaves(before).flatMap(textsOf));
  return leaves(now)
    .flatMap(textsOf)
    .some((text) => !had.has(text));
}

const textsOf = ({ vn, mac, ips }: ReturnType<typeof leaves>[number]): string[] => [
  `${vn} ${mac}`,
  ...ips.map((ip) => `${vn} ${mac} ${ip}`),
];

function eventOf(
  call: number,
  tree: Tree,
  { name: vnic, interface: of, vm }: Nic,
  { deadline }: NicCall,
  isThere: boolean,
): BookEvent {
  if (tree.length === 0 || deadline === undefined) return { on: "detach", call, vnic };
  if (isThere) return { on: "change", call, vnic, tree, deadline };
  const named = vm === undefined ? {} : { vm };
  return { on: "attach", call, vnic, ...named, interface: of, tree, deadline };
}

const isDone = ({ spread }: Work, nic: Nic): boolean =>
  nic.wanted.every((node) => nic.at.get(keyOf(node)) === targetOf(spread, nic, keyOf(node)));

const sameTree = (a: Tree, b: Tree): boolean =>
  a.length === b.length &&
  a.every((node, n) => node === b[n] || JSON.stringify(node) === JSON.stringify(b[n]));

const sameMap = (a: ReadonlyMap<string, string>, b: ReadonlyMap<string, string>): boolean =>
  a.size === b.size && [...a].every(([key, value]) => b.get(key) === value);
