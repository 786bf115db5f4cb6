import { stageOf, stepVm, type VmEvent, type VmState } from "@nve/hypervisor-agent/qmp/vm-state";
import fc from "fast-check";
import { expect, test } from "vitest";

/** A VM's stages as QEMU tells; "ask" where it is asked. */
function stages(run: string, migration: string, ...events: VmEvent[]): (string | undefined)[] {
  let state: VmState = { is: "heard", run, migration };
  return [
    stageOf(state),
    ...events.map((event) => {
      const [next, ...actions] = stepVm(state, event);
      state = next;
      return [stageOf(state) ?? "gone", ...actions.map(() => "asks")].join(" ");
    }),
  ];
}
const event = (name: string, status?: string): VmEvent => ({ on: "event", name, status });
const answer = (run: string, migration: string): VmEvent => ({ on: "status", run, migration });

test("the source of a migration: active, suspended when it stops for it, gone when it is completed", () => {
  expect(
    stages(
      "running",
      "none",
      event("MIGRATION", "setup"),
      event("MIGRATION", "active"),
      event("STOP"),
      answer("finish-migrate", "active"),
      event("MIGRATION", "completed"),
      answer("postmigrate", "completed"),
    ),
  ).toEqual(["active", "active", "active", "suspended asks", "suspended", "gone asks", "gone"]);
});

test("an answer that is older than the end of the migration brings nothing back", () => {
  const ends = [event("STOP"), event("MIGRATION", "completed")];
  expect(
    stages("running", "active", ...ends, answer("finish-migrate", "completed")).slice(-2),
  ).toEqual(["gone asks", "gone"]);
});

test("the pause before the switch-over is a firm point, whether its stop is heard before or after", () => {
  const running = ["running", "active"] as const;
  expect(stages(...running, event("MIGRATION", "pre-switchover"), event("STOP"))).toEqual([
    "active",
    "suspended",
    "suspended asks",
  ]);
});

test("a migration that fails: suspended, then active again where it was", () => {
  expect(
    stages(
      "running",
      "active",
      event("STOP"),
      event("MIGRATION", "failed"),
      event("RESUME"),
      answer("running", "failed"),
    ),
  ).toEqual(["active", "suspended asks", "suspended asks", "active", "active"]);
});

test("a destination: prepared while it waits and takes in, active when all has arrived or it runs", () => {
  const waits = ["inmigrate", "none"] as const;
  const takesIn = [event("MIGRATION", "setup"), event("MIGRATION", "active")];
  expect(stages(...waits, ...takesIn, event("RESUME"))).toEqual([
    "prepared",
    "prepared",
    "prepared",
    "active",
  ]);
  const all = event("MIGRATION", "completed"); // with -S it does not run yet
  expect(stages(...waits, ...takesIn, all).at(-1)).toBe("active");
  expect(stages(...waits, event("MIGRATION", "failed")).at(-1)).toBe("prepared");
});

test("a pause is no move, also in the middle of a migration: QEMU is asked", () => {
  expect(stages("running", "none", event("STOP"), answer("paused", "none"))).toEqual([
    "active",
    "active asks",
    "active",
  ]);
  expect(stages("running", "active", event("STOP"), answer("paused", "active"))).toEqual([
    "active",
    "suspended asks",
    "active",
  ]);
});

test("postcopy: the source is suspended from its switch on, whatever becomes of the rest", () => {
  expect(
    stages(
      "running",
      "active",
      event("STOP"),
      event("MIGRATION", "postcopy-active"),
      event("MIGRATION", "postcopy-paused"),
      event("MIGRATION", "completed"),
    ),
  ).toEqual(["active", "suspended asks", "suspended", "suspended", "gone asks"]);
});

test("what has not run is prepared; what is shut down is gone, until it runs again", () => {
  expect(stages("prelaunch", "none", event("RESUME"), event("SHUTDOWN"), event("RESUME"))).toEqual([
    "prepared",
    "active",
    "gone",
    "active",
  ]);
});

test("whatever happens, what runs is active in the end", () => {
  const events = fc.oneof(
    fc.constantFrom("STOP", "RESUME", "SHUTDOWN", "RESET", "nonsense").map((name) => event(name)),
    fc
      .constantFrom("setup", "active", "device", "completed", "failed", "cancelled", undefined)
      .map((status) => event("MIGRATION", status)),
  );
  fc.assert(
    fc.property(fc.array(events), (all) => {
      expect(stages("running", "none", ...all, event("RESUME")).at(-1)).toBe("active");
      const answered = stages("running", "none", ...all, answer("running", "none"));
      expect(answered.at(-1)).toBe("active");
    }),
  );
});
