import type { Stage } from "../stations/tree.ts";

/** A VM as its QEMU tells, in QAPI's words. */
export type VmState = {
  is: "heard";
  /** RunState: "running", "paused", "inmigrate" (waits for, or takes in, a VM that arrives), "postmigrate", … */
  run: string;
  /** MigrationStatus of the migration under way or the last one, in or out: "none", "active", "completed", … */
  migration: string;
};

export type VmEvent =
  /** The answers to query-status and query-migrate. */
  | { on: "status"; run: string; migration: string }
  /** QEMU's events of these names; others change nothing. */
  | { on: "event"; name: string; status: string | undefined };

/** Ask for the status: what we make of the event may be wrong. */
export type VmAction = { do: "ask" };

/**
 * What QEMU says, to what is so. A stop while a migration is under way is taken for its switch-over at once, and asked for
 * afterwards: it may be that somebody paused the VM.
 */
export function stepVm(state: VmState, event: VmEvent): readonly [VmState, ...VmAction[]] {
  if (event.on === "status") {
    const { run, migration } = event;
    // QEMU says "completed" a moment before its run state is "postmigrate".
    const isOver = run === "finish-migrate" && migration === "completed";
    return [{ ...state, run: isOver ? "postmigrate" : run, migration }];
  }
  switch (event.name) {
    case "STOP":
      return [{ ...state, run: isUnderWay(state) ? "finish-migrate" : "paused" }, { do: "ask" }];
    case "RESUME":
      return [{ ...state, run: "running" }];
    case "SHUTDOWN":
      return [{ ...state, run: "shutdown" }];
    case "MIGRATION":
      return migrated({ ...state, migration: event.status ?? state.migration });
    default:
      return [state];
  }
}

function migrated(state: VmState): readonly [VmState, ...VmAction[]] {
  if (state.run === "inmigrate") return [state];
  switch (state.migration) {
    case "pre-switchover":
    case "device":
    case "postcopy-active":
      return [{ ...state, run: "finish-migrate" }];
    case "completed": // out; or in, and it runs by now, or is not to run yet
      return [
        state.run === "finish-migrate" ? { ...state, run: "postmigrate" } : state,
        { do: "ask" },
      ];
    case "failed":
    case "cancelled":
      return [state, { do: "ask" }];
    default:
      return [state];
  }
}

const isUnderWay = ({ migration }: VmState): boolean => UNDER_WAY.has(migration);

const UNDER_WAY: ReadonlySet<string> = new Set([
  ...["active", "pre-switchover", "device"],
  ...["postcopy-active", "postcopy-paused", "postcopy-recover"],
]);

/** How far the VM is here; undefined: it is not here (any more). */
export function stageOf({ run, migration }: VmState): Stage | undefined {
  switch (run) {
    case "inmigrate":
      // All of it has arrived: where it is not to run at once (-S), the network is there first.
      return migration === "completed" ? "active" : "prepared";
    case "prelaunch": // started paused, and has not run: perhaps a copy of one that runs elsewhere
      return "prepared";
    case "finish-migrate":
      return "suspended";
    case "postmigrate":
    case "shutdown":
      return undefined;
    default: // also paused, io-error, save-vm, …: a pause is no move
      return "active";
  }
}
