import type { HypervisorId, Mac, NveId, Uuid, VnId } from "@nve/protocol-spec";
import type { SuspendedMode } from "./records.ts";

/** Where a VNIC is, was, or is to be. */
export type Spot = { nveId: NveId; port?: string; hypervisor?: HypervisorId };
/** An address that moves with its VNIC. */
export type Address = { vnId: VnId; mac: Mac };

/** An NVE that the VNIC was at: it forwards what still comes for it until all others know better (M5). */
export type Departure = {
  spot: Spot;
  /** It claims nothing of the VNIC any more. */
  left: boolean;
  /** Absent: nothing is forwarded any more. */
  forwards?: {
    notBeforeUnixMs: number;
    untilUnixMs: number /** All others know. */;
    known: boolean;
  };
};

/** What happened, for people: every change of state, and what led to it. */
export type MigrationStep = { atUnixMs: number; what: string };

/**
 * One migration of one VNIC (V2), over destination NVE, source NVE and NVA. Also its row in the store: another replica
 * goes on with it. docs/migration.md has the table of events and states.
 *
 *   (none) ─prepared─► prepared ─active─► switched-over ─left, known─► completed
 *     │ │                 │ └─departed─► held ─active─► switched-over
 *     │ └─departed─► held │               └─time over─► given-up
 *     └─active elsewhere──┼─► switched-over ─active at the source─► rolling-back ─known─► rolled-back
 *                         └─unprepared─► rolled-back
 */
export type Migration = Common & (Prepared | Held | Moving | Ended);
export type MigrationState = Migration["is"];
export type Common = {
  vnic: Uuid;
  addresses: readonly Address[];
  startedUnixMs: number;
  /** Some station said that it is one: M or S bit, or a reservation before the arrival. */
  hinted: boolean;
  /** The latest last; of many the first and the latest. */
  steps: readonly MigrationStep[];
};
/** `to` has reserved for it. */
export type Prepared = { is: "prepared"; from: Spot; to: Spot };
/** It has left `from`, to arrive elsewhere: nobody else gets its addresses (H21). */
export type Held = { is: "held"; from: Spot; to?: Spot; untilUnixMs: number };
/** It is active at `to`. */
export type Moving = {
  is: "switched-over" | "rolling-back";
  from: Spot;
  to: Spot;
  departures: readonly Departure[];
  /** Has reserved for the next move. */
  next?: Spot;
};
export type Ended = {
  is: "completed" | "rolled-back" | "given-up";
  from: Spot;
  to?: Spot;
  endedUnixMs: number;
};

export type MigrationEvent =
  /** An NVE has reserved for the VNIC, which is at `from` (H23). */
  | { on: "prepared"; at: Spot; from: Spot; addresses: readonly Address[] }
  /** Not any more, and it was not activated there. */
  | { on: "unprepared"; nveId: NveId }
  /** Its claims at `at` count from now on, in place of those at `from`. */
  | { on: "active"; at: Spot; from: Spot; address: Address }
  /** S bit at `at`: its user is suspended; or not any more. */
  | { on: "suspended" | "resumed"; at: Spot; address: Address }
  /** It has left, and its addresses are kept for its arrival elsewhere (H21). */
  | { on: "departed"; at: Spot; address: Address }
  /** An NVE claims nothing of it any more. `last`: nobody does. */
  | { on: "left"; nveId: NveId; last: boolean }
  /** All others that are in its VNs have where it is in their dataplanes. */
  | { on: "known" }
  | { on: "tick" };

/** Milliseconds, and what is said of all VNs. */
export type MigrationTimes = {
  /** A departure waits so long for an arrival (H21). */
  holdMs: number;
  /** The source forwards at least so long (M5), */
  forwardMs: number;
  /** and at most so long, whoever has not been heard of. */
  forwardMostMs: number;
  /** What becomes of packets for suspended addresses, where a VN does not say it (M8); absent: they are delivered. */
  suspended?: SuspendedMode;
};
export const migrationTimes: MigrationTimes = {
  holdMs: 30_000,
  forwardMs: 2_000,
  forwardMostMs: 60_000,
};

export const isOver = (m: Migration): m is Common & Ended =>
  m.is === "completed" || m.is === "rolled-back" || m.is === "given-up";

export const isMoving = (m: Migration | undefined): m is Common & Moving =>
  m?.is === "switched-over" || m?.is === "rolling-back";

/** When `tick` has something to do, Unix milliseconds; undefined: never. */
export function dueOf(m: Migration): number | undefined {
  if (m.is === "held") return m.untilUnixMs;
  if (!isMoving(m)) return undefined;
  const due = m.departures.flatMap(({ forwards }) =>
    forwards === undefined ? [] : forwards.known ? forwards.notBeforeUnixMs : forwards.untilUnixMs,
  );
  return due.length === 0 ? undefined : Math.min(...due);
}

/** Who has reserved for it and is not where it is. */
export function reservedAt(m: Migration): NveId | undefined {
  if (m.is === "prepared" || m.is === "held") return m.to?.nveId;
  return isMoving(m) ? m.next?.nveId : undefined;
}

/** As people read it: `tor1`, `tor1 (port eth1)`. */
export const named = ({ nveId, port }: Spot): string =>
  port === undefined ? nveId : `${nveId} (port ${port})`;
