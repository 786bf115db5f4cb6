import type { NveId, Uuid } from "@nve/protocol-spec";
import {
  type Address,
  type Common,
  type Departure,
  type Ended,
  type Held,
  isMoving,
  isOver,
  type Migration,
  type MigrationEvent,
  type MigrationTimes,
  type Moving,
  named,
  type Prepared,
  type Spot,
} from "./migration-row.ts";

/** NVEs that forward for one VNIC at a time, when it moves on before the last move is done. */
const mostDepartures = 8;
const firstSteps = 8;
const mostSteps = 32;

/**
 * What an event makes of the migration of a VNIC. Pure. @param m none: it stands still, and has no last migration
 * @returns the same object where nothing changes
 */
export function stepMigration(
  m: Migration | undefined,
  vnic: Uuid,
  event: MigrationEvent,
  atUnixMs: number,
  times: MigrationTimes,
): Migration | undefined {
  const begun = m === undefined || isOver(m) ? undefined : m;
  const now: Now = { vnic, at: atUnixMs, times };
  switch (event.on) {
    case "prepared":
      return prepared(begun, event, now) ?? m;
    case "unprepared":
      return begun === undefined ? m : unprepared(begun, event.nveId, now);
    case "active":
      return active(begun, event, now) ?? m;
    case "suspended":
    case "resumed":
      return begun === undefined ? m : hinted(begun, event, now);
    case "departed":
      return departed(begun, event, now) ?? m;
    case "left":
      return begun === undefined ? m : left(begun, event, now);
    case "known":
      return isMoving(begun) ? known(begun, now) : m;
    case "tick":
      return begun === undefined ? m : tick(begun, now);
  }
}

type Now = { vnic: Uuid; at: number; times: MigrationTimes };

function prepared(
  m: Migration | undefined,
  { at, from, addresses }: Extract<MigrationEvent, { on: "prepared" }>,
  now: Now,
): Migration | undefined {
  if (at.nveId === from.nveId) return undefined; // between its ports: the NVE's own matter (H20)
  if (m === undefined) {
    const what = `prepared at ${named(at)}, active at ${named(from)}`;
    return { ...begin(now, addresses, what, true), is: "prepared", from, to: at };
  }
  const all = addAddresses(m.addresses, addresses);
  switch (m.is) {
    case "prepared":
    case "held":
      if (m.to !== undefined && sameSpot(m.to, at) && all === m.addresses) return m;
      return { ...noted(m, now, `prepared at ${named(at)}`), addresses: all, hinted: true, to: at };
    case "switched-over":
    case "rolling-back":
      if (m.to.nveId === at.nveId || (m.next !== undefined && sameSpot(m.next, at))) return m;
      return { ...noted(m, now, `prepared for the next move at ${named(at)}`), next: at };
    default:
      return m;
  }
}

/** Roll-back before anything has moved: the reservation is gone, and nothing is left of it. */
function unprepared(m: Migration, nveId: NveId, now: Now): Migration {
  switch (m.is) {
    case "prepared":
      if (m.to.nveId !== nveId) return m;
      return end(m, "rolled-back", now, `the reservation at ${named(m.to)} is gone`);
    case "held": {
      if (m.to?.nveId !== nveId) return m;
      const { to, ...rest } = m;
      return noted(rest, now, `the reservation at ${named(to)} is gone`);
    }
    case "switched-over":
    case "rolling-back": {
      if (m.next?.nveId !== nveId) return m;
      const { next, ...rest } = m;
      return noted(rest, now, `the reservation at ${named(next)} is gone`);
    }
    default:
      return m;
  }
}

function active(
  m: Migration | undefined,
  { at, from, address }: Extract<MigrationEvent, { on: "active" }>,
  now: Now,
): Migration | undefined {
  if (m === undefined) {
    if (at.nveId === from.nveId) return undefined;
    const what = `switched over from ${named(from)} to ${named(at)}, unannounced`;
    const fresh = { ...begin(now, [address], what, false), from, to: at };
    return { ...fresh, is: "switched-over", departures: [departing(from, false, now)] };
  }
  const addresses = addAddresses(m.addresses, [address]);
  switch (m.is) {
    case "prepared":
      if (at.nveId === m.from.nveId) return m;
      return switched({ ...m, addresses }, at, false, now);
    case "held":
      if (at.nveId === m.from.nveId)
        return end({ ...m, addresses }, "rolled-back", now, `back at ${named(at)}`);
      return switched({ ...m, addresses }, at, true, now);
    case "switched-over":
    case "rolling-back":
      if (at.nveId === m.to.nveId) return addresses === m.addresses ? m : { ...m, addresses };
      return movedOn({ ...m, addresses }, at, now);
    default:
      return m;
  }
}

function switched(m: Common & (Prepared | Held), to: Spot, gone: boolean, now: Now): Migration {
  const { from } = m;
  const what = `switched over from ${named(from)} to ${named(to)}`;
  return {
    ...commonOf(noted(m, now, what)),
    is: "switched-over",
    from,
    to,
    departures: [departing(from, gone, now)],
  };
}

/** On to a third place, or back, before the last move was done: all who forward, forward there. */
function movedOn(m: Common & Moving, to: Spot, now: Now): Migration {
  const back = m.departures.find(({ spot }) => spot.nveId === to.nveId);
  const isBack = back !== undefined && !back.left;
  const others = m.departures.filter(({ spot }) => spot.nveId !== to.nveId);
  const departures = [
    ...others.map(({ spot, left }) => departing(spot, left, now)),
    departing(m.to, false, now),
  ].slice(-mostDepartures);
  const is = isBack ? "rolling-back" : "switched-over";
  const what = isBack ? "rolling back" : "switched over";
  const from = isBack ? m.from : m.to;
  const next = noted(commonOf(m), now, `${what} from ${named(m.to)} to ${named(to)}`);
  return { ...next, is, from, to, departures };
}

function hinted(
  m: Migration,
  { on, at }: Extract<MigrationEvent, { on: "suspended" | "resumed" }>,
  now: Now,
): Migration {
  const isKnown = m.steps.at(-1)?.what.startsWith(`${on} at ${named(at)}`) === true;
  return isKnown ? m : { ...noted(m, now, `${on} at ${named(at)}`), hinted: true };
}

function departed(
  m: Migration | undefined,
  { at, address }: Extract<MigrationEvent, { on: "departed" }>,
  now: Now,
): Migration | undefined {
  const untilUnixMs = now.at + now.times.holdMs;
  const what = `left ${named(at)}: its addresses are held for ${now.times.holdMs} ms`;
  if (m === undefined)
    return { ...begin(now, [address], what, true), is: "held", from: at, untilUnixMs };
  const addresses = addAddresses(m.addresses, [address]);
  if (m.is === "held") return addresses === m.addresses ? m : { ...m, addresses };
  if (m.is === "prepared" && at.nveId === m.from.nveId) {
    const { from, to } = m;
    return {
      ...commonOf(noted({ ...m, addresses }, now, what)),
      is: "held",
      from,
      to,
      untilUnixMs,
    };
  }
  if (isMoving(m) && at.nveId === m.to.nveId)
    return {
      ...commonOf(noted({ ...m, addresses }, now, what)),
      ...{ is: "held", from: m.to, untilUnixMs },
      ...(m.next !== undefined && { to: m.next }),
    };
  return m;
}

function left(
  m: Migration,
  { nveId, last }: Extract<MigrationEvent, { on: "left" }>,
  now: Now,
): Migration {
  if (isMoving(m)) {
    const departure = m.departures.find(({ spot, left }) => spot.nveId === nveId && !left);
    if (departure !== undefined) {
      const departures = m.departures.map((one) =>
        one === departure ? { ...one, left: true } : one,
      );
      return settled({ ...noted(m, now, `left ${named(departure.spot)}`), departures }, now);
    }
    if (last && m.to.nveId === nveId)
      return end(m, "given-up", now, `left ${named(m.to)}, and is nowhere`);
    return m;
  }
  if (last && !isOver(m)) return end(m, "given-up", now, "nobody claims its addresses any more");
  return m;
}

function known(m: Common & Moving, now: Now): Migration {
  if (m.departures.every(({ forwards }) => forwards?.known !== false)) return m;
  const departures = m.departures.map((one) =>
    one.forwards === undefined ? one : { ...one, forwards: { ...one.forwards, known: true } },
  );
  const next = { ...noted(m, now, "all others know where it is"), departures };
  return settled(quiet(next, now), now);
}

function tick(m: Migration, now: Now): Migration {
  if (m.is === "held" && now.at >= m.untilUnixMs)
    return end(m, "given-up", now, "it has arrived nowhere in time: its addresses are free");
  return isMoving(m) ? settled(quiet(m, now), now) : m;
}

/** Who has forwarded long enough forwards no more. */
function quiet(m: Common & Moving, now: Now): Common & Moving {
  let next = m;
  for (const departure of m.departures) {
    const { forwards, spot } = departure;
    if (forwards === undefined) continue;
    const since = forwards.known ? forwards.notBeforeUnixMs : forwards.untilUnixMs;
    if (now.at < since) continue;
    const { forwards: _, ...rest } = departure;
    const departures = next.departures.map((one) => (one === departure ? rest : one));
    next = { ...noted(next, now, `${named(spot)} forwards no more`), departures };
  }
  return next;
}

/** Completed, or rolled back, when nobody forwards any more and all whom it left have let go. */
function settled(m: Common & Moving, now: Now): Migration {
  if (m.departures.some(({ forwards, left }) => forwards !== undefined || !left)) return m;
  const is = m.is === "rolling-back" ? "rolled-back" : "completed";
  const over = end(m, is, now, `it is at ${named(m.to)}, and nowhere else`);
  const { next, addresses, to } = m;
  if (next === undefined) return over;
  const what = `prepared at ${named(next)}, active at ${named(to)}`;
  return { ...begin(now, addresses, what, true), is: "prepared", from: to, to: next };
}

const departing = (spot: Spot, left: boolean, { at, times }: Now): Departure => ({
  spot,
  left,
  forwards: {
    notBeforeUnixMs: at + times.forwardMs,
    untilUnixMs: at + Math.max(times.forwardMs, times.forwardMostMs),
    known: false,
  },
});

function end(m: Migration, is: Ended["is"], now: Now, why: string): Migration {
  const { from } = m;
  const to = "to" in m && m.to !== undefined ? { to: m.to } : {};
  const common = commonOf(noted(m, now, `${is.replace("-", " ")}: ${why}`));
  return { ...common, is, from, ...to, endedUnixMs: now.at };
}

const begin = (
  { vnic, at }: Now,
  addresses: readonly Address[],
  what: string,
  isHinted: boolean,
): Common => ({
  vnic,
  addresses: addAddresses([], addresses),
  startedUnixMs: at,
  hinted: isHinted,
  steps: [{ atUnixMs: at, what }],
});

const commonOf = ({ vnic, addresses, startedUnixMs, hinted: is, steps }: Common): Common => ({
  vnic,
  addresses,
  startedUnixMs,
  hinted: is,
  steps,
});

function noted<M extends Common>(m: M, { at }: Now, what: string): M {
  const all = [...m.steps, { atUnixMs: at, what }];
  const steps =
    all.length <= mostSteps
      ? all
      : [...all.slice(0, firstSteps), ...all.slice(firstSteps - mostSteps)];
  return { ...m, steps };
}

/** @returns the same list where none is new */
function addAddresses(known: readonly Address[], more: readonly Address[]): readonly Address[] {
  const fresh = more.filter(
    ({ vnId, mac }) => !known.some((one) => one.vnId === vnId && one.mac === mac),
  );
  if (fresh.length === 0) return known;
  return [...known, ...fresh].slice(0, mostAddresses);
}

/** Of one VNIC: of more the others move as well, and are not named. */
const mostAddresses = 1_024;

const sameSpot = (a: Spot, b: Spot): boolean =>
  a.nveId === b.nveId && a.port === b.port && a.hypervisor === b.hypervisor;
