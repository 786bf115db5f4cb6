import type { Tree } from "@nve/hypervisor-agent/stations/tree";
import { homesOf } from "@nve/hypervisor-agent/uplinks/spread";
import { Uuid, VdpError, VnId } from "@nve/protocol-spec";
import fc from "fast-check";
import { expect, test } from "vitest";
import { cable } from "../../support/cable.ts";
import { type FakeClock, fakeClock } from "../../support/fake-clock.ts";
import { host, run, treeOf } from "./host.ts";
import { type ScriptedBridge, scriptedBridge, type Verdict } from "./scripted-bridge.ts";

const NAMES = ["eth0", "eth1"] as const;
type Name = (typeof NAMES)[number];
const FAILBACK = 5000;
const LIMIT = { timeoutMs: 8000 };

const vnics = [0, 1, 2].map((n) => ({
  vnic: Uuid(`aaaaaaaa-0000-4000-8000-00000000000${n}`),
  interface: `tap${n}`,
}));
/** Each VNIC has a MAC of its own in each VN. */
const macOf = (n: number, vn: number): string => `02:00:00:00:0${n}:0${vn}`;
const VNS = [1, 2, 3, 4];

type Act =
  | { act: "attach"; n: number; vns: number[] }
  | { act: "detach"; n: number }
  | { act: "change"; n: number; add: number; remove: number }
  | { act: "link"; name: Name; state: "up" | "down" }
  | { act: "verdict"; name: Name; verdict: number | "silent" }
  | { act: "order"; name: Name; n: number };

const name = fc.constantFrom(...NAMES);
const n = fc.nat(2);
const vn = fc.constantFrom(...VNS);
const act: fc.Arbitrary<Act> = fc.oneof(
  {
    weight: 3,
    arbitrary: fc.record({
      act: fc.constant("attach" as const),
      n,
      vns: fc.uniqueArray(vn, { minLength: 1 }),
    }),
  },
  { weight: 1, arbitrary: fc.record({ act: fc.constant("detach" as const), n }) },
  {
    weight: 2,
    arbitrary: fc.record({ act: fc.constant("change" as const), n, add: vn, remove: vn }),
  },
  {
    weight: 3,
    arbitrary: fc.record({
      act: fc.constant("link" as const),
      name,
      state: fc.constantFrom("up" as const, "down" as const),
    }),
  },
  {
    weight: 2,
    arbitrary: fc.record({
      act: fc.constant("verdict" as const),
      name,
      verdict: fc.constantFrom(
        0,
        VdpError.insufficientResources,
        VdpError.managerUnreachable,
        VdpError.other,
        "silent" as const,
      ),
    }),
  },
  { weight: 1, arbitrary: fc.record({ act: fc.constant("order" as const), name, n }) },
);

/** One that failed once: a second attach of a VNIC that is being attached over both uplinks. */
const twiceAttached: [Act, number][] = [
  [{ act: "attach", n: 0, vns: [2, 1] }, 0],
  [{ act: "verdict", name: "eth0", verdict: 0 }, 0],
  [{ act: "order", name: "eth1", n: 0 }, 0],
  [{ act: "attach", n: 0, vns: [1] }, 0],
  [{ act: "link", name: "eth1", state: "up" }, 20],
];

/** An NVE keeps a VSI for that long without a keepalive: 1.5 times the interval, and some. */
const KEEPALIVE_TIMEOUT_MS = 20_000;

/** Answers as told, and remembers what it has granted. */
function remembering(nve: ScriptedBridge, clock: FakeClock) {
  const held = new Map<string, { entries: string[]; at: number }>();
  let answer: Verdict = { code: 0 };
  nve.verdict = (type, { vnic, entries }) => {
    if (answer === "silent") return answer;
    if (type === "de-associate") {
      held.delete(vnic);
      return { code: 0 };
    }
    if (answer.code === 0) held.set(vnic, { entries, at: clock.now() });
    else held.delete(vnic); // a refusal without KEEP
    return answer;
  };
  return {
    answers: (verdict: number | "silent") => {
      answer = verdict === "silent" ? verdict : { code: verdict };
    },
    /** The NVE's own De-Associate, if it has the VNIC. */
    order: (vnic: string) => {
      if (held.delete(vnic)) nve.order(vnic);
    },
    /** `<vn> <mac>` of all that it has. */
    has: () =>
      [...held.values()]
        .filter(({ at }) => at + KEEPALIVE_TIMEOUT_MS > clock.now())
        .flatMap(({ entries }) => entries.map((entry) => entry.split(" ").slice(0, 2).join(" ")))
        .sort(),
  };
}

/** What may become of a call while all else changes. */
const KNOWN =
  /refused|attached|leaving|changed already|detached|not connected|no VNIC|has no|would be left|free yet|NVE/;

/** A host on two cables, each to an NVE. */
async function world() {
  const clock = fakeClock();
  const wires = { eth0: cable(clock), eth1: cable(clock, { seed: 2 }) };
  const nves = {
    eth0: remembering(scriptedBridge(wires.eth0.b, clock), clock),
    eth1: remembering(scriptedBridge(wires.eth1.b, clock), clock),
  };
  const it = host({ eth0: wires.eth0.a, eth1: wires.eth1.a }, clock, { failbackMs: FAILBACK });
  await run(clock, 3000, 500);
  return { clock, wires, nves, it, unexpected: [] as unknown[] };
}
type World = Awaited<ReturnType<typeof world>>;

const wantedOf = (n: number, vns: readonly number[]): Tree =>
  vns.flatMap((vn) => treeOf(vn, macOf(n, vn)));

function happen({ wires, nves, it, unexpected }: World, one: Act): void {
  if (one.act === "link") wires[one.name].set(one.state);
  else if (one.act === "verdict") nves[one.name].answers(one.verdict);
  else if (one.act === "order") nves[one.name].order(vnics[one.n]?.vnic ?? "");
  else {
    asked(it, one).catch((error: unknown) => {
      if (!KNOWN.test(String(error))) unexpected.push(error);
    });
  }
}

async function asked(
  { agent }: World["it"],
  one: Act & { act: "attach" | "detach" | "change" },
): Promise<unknown> {
  const who = vnics[one.n];
  if (who === undefined) return undefined;
  const { vnic } = who;
  if (one.act === "attach") return agent.attach({ ...who, tree: wantedOf(one.n, one.vns) }, LIMIT);
  if (one.act === "detach") return agent.detach(vnic);
  const remove = [{ vn: VnId(one.remove) }];
  return agent.change({ vnic, add: wantedOf(one.n, [one.add]), remove }, LIMIT);
}

/** Each VN bound at its home, once, and held by no other NVE. */
function expectAllAtHome({ it, nves, unexpected }: World): void {
  expect(unexpected).toEqual([]);
  const shown = it.agent.vnics();
  expect(shown.map(({ state, reason }) => [state, reason])).toEqual(
    shown.map(() => ["associated", undefined]),
  );
  const expected = (uplink: Name, text: (n: string, vn: number, mac: string) => string) =>
    shown
      .flatMap(({ interface: of, tree }) =>
        tree.flatMap(({ vn, macs }) =>
          homesOf(String(vn), [...NAMES])[0] === uplink
            ? macs.map(({ mac }) => text(of, Number(vn), mac))
            : [],
        ),
      )
      .sort();
  const bound = NAMES.flatMap((uplink) =>
    expected(uplink, (of, vn, mac) => `${of} ${mac} ${100 + vn} ${uplink}`),
  );
  expect(it.bound()).toEqual(bound.sort());
  for (const uplink of NAMES) {
    expect(nves[uplink].has()).toEqual(expected(uplink, (_, vn, mac) => `${vn} ${mac}`));
  }
}

const gapMs = fc.constantFrom(0, 1, 20, 600, 7000);
const histories = fc.array(fc.tuple(act, gapMs), { minLength: 3, maxLength: 25 });

test("Req-3: whatever happened, once it is quiet each VN is bound at its home, once, and held by no other NVE", async () => {
  await fc.assert(
    fc.asyncProperty(histories, async (history) => {
      const all = await world();
      for (const [one, gapMs] of history) {
        happen(all, one);
        await run(all.clock, gapMs, Math.max(1, gapMs / 20));
      }
      for (const name of NAMES) {
        all.wires[name].set("up");
        all.nves[name].answers(0);
      }
      await run(all.clock, 150_000, 500);
      expectAllAtHome(all);
      for (const uplink of all.it.uplinks) uplink.close();
    }),
    { numRuns: 50, examples: [[twiceAttached]] },
  );
}, 60_000);
