import type { Tree } from "@nve/hypervisor-agent/stations/tree";
import { homesOf } from "@nve/hypervisor-agent/uplinks/spread";
import { Uuid, VdpError, VnId } from "@nve/protocol-spec";
import { beforeEach, describe, expect, test } from "vitest";
import { type Cable, cable } from "../../support/cable.ts";
import { type FakeClock, fakeClock } from "../../support/fake-clock.ts";
import { type Host, host, run, treeOf, within } from "./host.ts";
import { type ScriptedBridge, scriptedBridge } from "./scripted-bridge.ts";

const NAMES = ["eth0", "eth1"] as const;
const FAILBACK = 30_000;
const limit = { timeoutMs: 20_000 };
const vnic = Uuid("aaaaaaaa-0000-4000-8000-00000000000a");
const macA = "02:00:00:00:00:0a";
const macB = "02:00:00:00:00:0b";

/** A VN whose home is that uplink; tags are 100 + VN. */
function vnAt(home: string): number {
  for (let vn = 1; ; vn += 1) if (homesOf(String(vn), [...NAMES])[0] === home) return vn;
}
const A = vnAt("eth0");
const B = vnAt("eth1");

let clock: FakeClock;
let wires: Record<"eth0" | "eth1", Cable>;
let nves: Record<"eth0" | "eth1", ScriptedBridge>;
let it: Host;

beforeEach(async () => {
  clock = fakeClock();
  wires = { eth0: cable(clock), eth1: cable(clock, { seed: 2 }) };
  nves = {
    eth0: scriptedBridge(wires.eth0.b, clock),
    eth1: scriptedBridge(wires.eth1.b, clock),
  };
  it = host({ eth0: wires.eth0.a, eth1: wires.eth1.a }, clock, { failbackMs: FAILBACK });
  await run(clock, 3000, 100);
});

const both: Tree = [...treeOf(A, macA, "10.0.0.1"), ...treeOf(B, macB)];
const attach = (tree = both, more: { uplink?: string } = {}) =>
  within(clock, 30_000, it.agent.attach({ vnic, interface: "tap0", tree, ...more }, limit));
const heard = (name: "eth0" | "eth1") =>
  nves[name].heard.flat().map(({ type, entries }) => `${type} ${entries.join(", ")}`);
const viewed = () => it.agent.vnics()[0];
const overA = `tap0 ${macA} ${100 + A}`;
const overB = `tap0 ${macB} ${100 + B}`;

describe("Req-3: several uplinks", () => {
  test("each VN of a VNIC goes over its home, one message each", async () => {
    const view = await attach();
    expect(heard("eth0")).toEqual([`associate ${A} ${macA} -`]);
    expect(heard("eth1")).toEqual([`associate ${B} ${macB} -`]);
    expect(it.bound()).toEqual([`${overA} eth0`, `${overB} eth1`].sort());
    expect(view).toMatchObject({ state: "associated", reason: undefined });
    expect([...view.over].sort()).toEqual(
      [
        [A, "eth0"],
        [B, "eth1"],
      ].sort(),
    );
  });

  test("a link dies: its VNs are over the other one within milliseconds, and the rest stays", async () => {
    await attach();
    const before = clock.now();
    wires.eth0.set("down");
    for (; !it.bound().includes(`${overA} eth1`); await run(clock, 1));
    expect(clock.now() - before).toBeLessThan(20);
    expect(it.bound()).toEqual([`${overA} eth1`, `${overB} eth1`].sort());
    expect(viewed()).toMatchObject({ state: "associated" });
    expect(heard("eth1").at(-1)).toBe(`associate ${A} ${macA} -, ${B} ${macB} ${100 + B}`);
  });

  test("many VNICs of a dead link are asked for in as few messages as hold them", async () => {
    for (let n = 0; n < 5; n += 1) {
      const tree = treeOf(A, `02:00:00:00:01:0${n}`);
      await within(clock, 1000, it.agent.attach({ interface: `tap${n}`, tree }, limit));
    }
    wires.eth0.set("down");
    await run(clock, 100);
    expect(nves.eth1.heard.map((pdu) => pdu.length)).toEqual([5]);
  });

  test("the link is back: the NVE is told that they are gone, and gets them again after the failback", async () => {
    await attach();
    wires.eth0.set("down");
    await run(clock, 1000, 10);
    nves.eth0.heard.length = 0;
    wires.eth0.set("up");
    await run(clock, 100);
    expect(heard("eth0")).toEqual([`de-associate ${A} ${macA} ${100 + A}`]);
    await run(clock, FAILBACK - 1000, 100);
    expect(it.bound()).toEqual([`${overA} eth1`, `${overB} eth1`].sort());
    await run(clock, 5000, 10);
    expect(it.bound()).toEqual([`${overA} eth0`, `${overB} eth1`].sort());
    expect(heard("eth0").at(-1)).toBe(`associate ${A} ${macA} -`);
    expect(heard("eth1").at(-1)).toBe(`associate ${B} ${macB} ${100 + B}`);
  });

  test("make before break: bound at home first, given back at the other after that", async () => {
    await attach(treeOf(A, macA));
    wires.eth0.set("down");
    await run(clock, 1000, 10);
    wires.eth0.set("up");
    const boundWhenTold: string[][] = [];
    nves.eth1.verdict = (type) => {
      if (type === "de-associate") boundWhenTold.push(it.bound());
      return { code: 0 };
    };
    nves.eth0.verdict = (type) => {
      if (type === "associate") boundWhenTold.push(it.bound());
      return { code: 0 };
    };
    await run(clock, FAILBACK + 4000, 10);
    expect(boundWhenTold.slice(0, 2)).toEqual([[`${overA} eth1`], [`${overA} eth0`]]);
  });

  test("home does not take it back: it goes on over the other, without a gap", async () => {
    await attach(treeOf(A, macA));
    wires.eth0.set("down");
    await run(clock, 1000, 10);
    nves.eth0.verdict = () => ({ code: VdpError.insufficientResources });
    wires.eth0.set("up");
    for (let ms = 0; ms < 3 * FAILBACK; ms += 100) {
      await run(clock, 100, 10);
      expect(it.bound()).toEqual([`${overA} eth1`]);
    }
    expect(heard("eth0").filter((line) => line.startsWith("associate")).length).toBeLessThan(6);
    expect(viewed()).toMatchObject({ state: "associated" });
  });

  test("the NVE's LLDP ends (TTL 0, or out): its VNs go", async () => {
    await attach();
    nves.eth0.edge.close();
    await run(clock, 200, 10);
    expect(it.bound()).toEqual([`${overA} eth1`, `${overB} eth1`].sort());
  });

  test("the NVE acknowledges no more (ECP gives up): its VNs go", async () => {
    await attach();
    wires.eth0.faults = { ...wires.eth0.faults, loss: 1 };
    await run(clock, 15_000, 50); // a keepalive, and the retries of ECP
    expect(it.bound()).toEqual([`${overA} eth1`, `${overB} eth1`].sort());
  });

  test.each([
    ["has no tag left", VdpError.insufficientResources],
    ["cannot reach its manager", VdpError.managerUnreachable],
  ])("an NVE that %s: the other is asked, and attach does not fail", async (_, code) => {
    nves.eth0.verdict = (type) => ({ code: type === "associate" ? code : 0 });
    const before = clock.now();
    const view = await attach();
    expect(clock.now() - before).toBeLessThan(100);
    expect(view.over.get(VnId(A))).toBe("eth1");
    expect(it.bound()).toEqual([`${overA} eth1`, `${overB} eth1`].sort());
  });

  test("refused for good by one: nothing is left at the other", async () => {
    nves.eth0.verdict = () => ({ code: VdpError.invalidVidGroupOrMac });
    await expect(attach()).rejects.toThrow(new RegExp(`VNs? ${A}\\b.*VDP error 5`));
    await run(clock, 100);
    expect(it.agent.vnics()).toEqual([]);
    expect(it.bound()).toEqual([]);
    expect(heard("eth1")).toEqual([
      `associate ${B} ${macB} -`,
      expect.stringMatching(/^de-associate/),
    ]);
    nves.eth0.verdict = () => ({ code: 0 });
    await attach();
  });

  test("a change that one refuses is undone at the other", async () => {
    await attach(treeOf(B, macB));
    nves.eth0.verdict = (type) => ({ code: type === "associate" ? 5 : 0 });
    const change = {
      vnic,
      add: [...treeOf(A, macA), ...treeOf(B, "02:00:00:00:00:0c")],
      remove: [],
    };
    await expect(within(clock, 30_000, it.agent.change(change, limit))).rejects.toThrow(/error 5/);
    await run(clock, 100);
    expect(it.bound()).toEqual([`${overB} eth1`]);
    expect(heard("eth1").at(-1)).toBe(`associate ${B} ${macB} ${100 + B}`);
    expect(viewed()).toMatchObject({ state: "associated", tree: [{ vn: B }] });
  });

  test("a change that adds on one and takes on the other: first it adds", async () => {
    await attach(treeOf(B, macB));
    const change = { vnic, add: treeOf(A, macA), remove: [{ vn: VnId(B) }] };
    const order: string[] = [];
    for (const name of NAMES) {
      nves[name].verdict = (type) => {
        order.push(`${name} ${type}`);
        return { code: 0 };
      };
    }
    await within(clock, 1000, it.agent.change(change, limit));
    expect(order).toEqual(["eth0 associate", "eth1 de-associate"]);
    expect(it.bound()).toEqual([`${overA} eth0`]);
  });

  test("a change that takes on one what the other refuses to have: it stays where it was, without a gap", async () => {
    await attach(treeOf(A, macA));
    nves.eth1.verdict = () => ({ code: VdpError.invalidVidGroupOrMac });
    const change = { vnic, add: treeOf(B, macB), remove: [{ vn: VnId(A) }] };
    await expect(within(clock, 30_000, it.agent.change(change, limit))).rejects.toThrow(/error 5/);
    await run(clock, 100);
    expect(heard("eth0")).toEqual([`associate ${A} ${macA} -`]);
    expect(it.bound()).toEqual([`${overA} eth0`]);
  });

  test("detach tells all", async () => {
    await attach();
    await within(clock, 1000, it.agent.detach(vnic));
    expect(heard("eth0").at(-1)).toMatch(/^de-associate/);
    expect(heard("eth1").at(-1)).toMatch(/^de-associate/);
    expect(it.agent.vnics()).toEqual([]);
    expect(it.bound()).toEqual([]);
  });

  test("pinned: over that uplink and no other, also when it is dead", async () => {
    await attach(both, { uplink: "eth1" });
    expect(it.bound()).toEqual([`${overA} eth1`, `${overB} eth1`].sort());
    wires.eth1.set("down");
    await run(clock, 5000, 100);
    expect(heard("eth0")).toEqual([]);
    expect(it.bound()).toEqual([`${overA} eth1`, `${overB} eth1`].sort());
    await expect(attach(both, { uplink: "eth7" })).rejects.toThrow(
      /eth7 is no uplink: the agent's config has eth0, eth1/,
    );
  });

  test("no uplink is ready: it says why of which", async () => {
    for (const name of NAMES) wires[name].set("down");
    await expect(
      within(
        clock,
        3000,
        it.agent.attach({ vnic, interface: "tap0", tree: both }, { timeoutMs: 1000 }),
        10,
      ),
    ).rejects.toThrow(/not connected in time: the uplink is down/);
    expect(it.agent.vnics()).toEqual([]);
  });

  test("one MAC in one VN on two VNICs is refused, over whichever uplinks they go", async () => {
    await attach(treeOf(A, macA), { uplink: "eth0" });
    const second = { interface: "tap1", tree: treeOf(A, macA), uplink: "eth1" };
    await expect(it.agent.attach(second, limit)).rejects.toThrow(/is on VNIC .* already/);
  });

  test("the agent ends: both are told, in one message each", async () => {
    await attach();
    await within(clock, 2000, it.agent.stop(1000));
    for (const name of NAMES) expect(heard(name).at(-1)).toMatch(/^de-associate/);
  });

  test("a link that flaps faster than anything can follow: it ends where it should", async () => {
    await attach();
    for (let n = 0; n < 20; n += 1) {
      wires.eth0.set(n % 2 === 0 ? "down" : "up");
      await run(clock, n % 5, 1);
    }
    await run(clock, 2000, 10);
    expect(viewed()).toMatchObject({ state: "associated" });
    await run(clock, FAILBACK + 5000, 100);
    expect(it.bound()).toEqual([`${overA} eth0`, `${overB} eth1`].sort());
  });
});
