import { GuestTag, type Tree } from "@nve/hypervisor-agent/stations/tree";
import { homesOf } from "@nve/hypervisor-agent/uplinks/spread";
import { Uuid, VnId } from "@nve/protocol-spec";
import { beforeEach, describe, expect, test } from "vitest";
import { type Cable, cable } from "../../support/cable.ts";
import { type FakeClock, fakeClock } from "../../support/fake-clock.ts";
import { type Host, host, run, treeOf, within } from "./host.ts";
import { type ScriptedBridge, scriptedBridge } from "./scripted-bridge.ts";

const limit = { timeoutMs: 20_000 };
const vnic = Uuid("aaaaaaaa-0000-4000-8000-00000000000a");
const mac = "02:00:00:00:00:0a";

/** A VN whose home is that uplink; tags are 100 + VN. */
function vnAt(home: string): number {
  for (let vn = 1; ; vn += 1) if (homesOf(String(vn), ["eth0", "eth1"])[0] === home) return vn;
}
const A = vnAt("eth0");
const B = vnAt("eth1");

let clock: FakeClock;
let wires: Record<"eth0" | "eth1", Cable>;
let nve: ScriptedBridge;
let it: Host;

beforeEach(async () => {
  clock = fakeClock();
  wires = { eth0: cable(clock), eth1: cable(clock, { seed: 2 }) };
  nve = scriptedBridge(wires.eth0.b, clock);
  scriptedBridge(wires.eth1.b, clock);
  it = host({ eth0: wires.eth0.a, eth1: wires.eth1.a }, clock);
  await run(clock, 3000, 100);
});

const trunk = (...vns: [vn: number, tag: number][]): Tree =>
  vns.flatMap(([vn, tag]) => treeOf(vn, mac).map((node) => ({ ...node, guestTag: GuestTag(tag) })));
const attach = () =>
  within(
    clock,
    30_000,
    it.agent.attach({ vnic, interface: "tap0", tree: trunk([A, 10], [B, 20]) }, limit),
  );
const change = (add: Tree, ...remove: number[]) =>
  within(
    clock,
    30_000,
    it.agent.change({ vnic, add, remove: remove.map((vn) => ({ vn: VnId(vn) })) }, limit),
  );
const bound = [`tap0 ${mac} ${100 + A} as 10 eth0`, `tap0 ${mac} ${100 + B} as 20 eth1`].sort();

describe("H10: a trunk VNIC", () => {
  test("may have its VNs, with one MAC, on several uplinks", async () => {
    const view = await attach();
    expect(it.bound()).toEqual(bound);
    expect(view.tree.map(({ vn, guestTag }) => [vn, guestTag])).toEqual([
      [A, 10],
      [B, 20],
    ]);
  });

  test("keeps its guest tags when a link dies", async () => {
    await attach();
    wires.eth0.set("down");
    await run(clock, 100);
    expect(it.bound()).toEqual(
      [`tap0 ${mac} ${100 + A} as 10 eth1`, `tap0 ${mac} ${100 + B} as 20 eth1`].sort(),
    );
  });

  test("cannot have one guest tag and MAC for two VNs, also of two uplinks", async () => {
    await attach();
    const said = nve.heard.length;
    const other = [1, 2, 3, 4, 5].find((vn) => vn !== A && vn !== B) ?? 0;
    await expect(change(trunk([other, 10]))).rejects.toThrow(
      /guest tag 10 could not be told apart/,
    );
    await expect(change(trunk([A, 11]))).rejects.toThrow(/remove the VN first/);
    expect(nve.heard.length).toBe(said);
    expect(it.bound()).toEqual(bound);
  });

  test("gets another guest tag for a VN where one change takes the VN away and adds it", async () => {
    await attach();
    await change(trunk([A, 11]), A);
    expect(it.bound()).toEqual(
      [`tap0 ${mac} ${100 + A} as 11 eth0`, `tap0 ${mac} ${100 + B} as 20 eth1`].sort(),
    );
  });

  test("H7: loses a VN with its guest tag, which is then free for another", async () => {
    await attach();
    await change([], A);
    expect(it.bound()).toEqual([`tap0 ${mac} ${100 + B} as 20 eth1`]);
    await change(trunk([A, 30]));
    expect(it.bound()).toContain(`tap0 ${mac} ${100 + A} as 30 eth0`);
  });
});
