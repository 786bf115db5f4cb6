import type { Tree } from "@nve/hypervisor-agent/stations/tree";
import { IpAddress, IpPrefix, Mac, Uuid, VnId } from "@nve/protocol-spec";
import { beforeEach, describe, expect, test } from "vitest";
import { type Cable, cable, type Faults, random } from "../../support/cable.ts";
import { type FakeClock, fakeClock } from "../../support/fake-clock.ts";
import { type Host, host, run, treeOf, within } from "../hypervisor-agent/host.ts";
import { denied, granted, type Tor, tor, unreachable } from "./tor.ts";

/** Short times: keepalive 1.3 s, response wait 1.4 s, keepalive timeout 2.4 s. */
const policy = { groupId: true, reflectiveRelay: false, r: 3, rte: 12, rwd: 16, rka: 17 };
const limit = { timeoutMs: 5000 };
const macOf = (n: number): string => `02:00:00:00:00:${n.toString(16).padStart(2, "0")}`;
const vnicOf = (n: number): Uuid =>
  Uuid(`aaaaaaaa-0000-4000-8000-0000000000${n.toString().padStart(2, "0")}`);

type World = { clock: FakeClock; wire: Cable; it: Host; nve: Tor };

async function world(seed = 1): Promise<World> {
  const clock = fakeClock();
  const wire = cable(clock, { seed });
  const nve = tor(wire.b, clock, policy, random(seed + 1));
  const it = host(wire.a, clock, { policy, firstSequence: (seed * 7919) % 65_536 });
  await run(clock, 1000, 10);
  return { clock, wire, it, nve };
}

/** As the switch puts it: `<vnic> <vn> <mac> <vid> [ips]` of all that is associated. */
function attached({ agent }: Host): string[] {
  return agent
    .vnics()
    .filter(({ state }) => state === "associated")
    .flatMap(({ vnic, tree, tagged }) =>
      tree.flatMap(({ vn, macs }) =>
        macs.map(({ mac, ips }) => {
          const vid = tagged.find((leaf) => leaf.vn === vn && leaf.mac === mac)?.vid;
          return [vnic, vn, mac, vid, ...[...ips].sort()].join(" ");
        }),
      ),
    )
    .sort();
}

/** Tags in the virtual switch, each with its VN's VNI, as the dataplane has them. */
const tagsOf = (it: Host): string[] =>
  [
    ...new Set(
      it.agent
        .vnics()
        .flatMap(({ tagged }) => tagged.map(({ vn, vid }) => `${vid} ${10_000 + vn}`)),
    ),
  ].sort();

function expectBothAgree({ it, nve }: World, why: string): void {
  expect(attached(it), why).toEqual(nve.attached());
  expect(tagsOf(it), why).toEqual(nve.access());
  const bound = it.agent
    .vnics()
    .flatMap((vnic) => vnic.tagged.map(({ mac, vid }) => `${vnic.interface} ${mac} ${vid}`));
  expect(it.bound(), why).toEqual(bound.sort());
}

describe("on a good cable", () => {
  let all: World;
  beforeEach(async () => {
    all = await world();
  });
  const attach = (n: number, tree: Tree) =>
    within(
      all.clock,
      6000,
      all.it.agent.attach({ vnic: vnicOf(n), interface: `tap${n}`, tree }, limit),
    );

  test("H1, H2, H6, H7: VNICs come, change and go, and both sides agree each time", async () => {
    await attach(0, treeOf(5, macOf(1), "10.0.0.1"));
    await attach(1, treeOf(5, macOf(2), "10.0.0.2"));
    expectBothAgree(all, "two attached");
    expect(all.nve.access()).toHaveLength(1); // V8: one tag for a VN, whoever uses it
    const { agent } = all.it;
    const add = treeOf(6, macOf(3), "10.0.0.1", "fd00::1");
    await within(all.clock, 1000, agent.change({ vnic: vnicOf(0), add, remove: [] }, limit));
    expectBothAgree(all, "a second VN");
    const remove = [{ vn: VnId(5) }];
    await within(all.clock, 1000, agent.change({ vnic: vnicOf(0), add: [], remove }, limit));
    expectBothAgree(all, "the first VN gone");
    expect(all.nve.access()).toHaveLength(2);
    await within(all.clock, 1000, agent.detach(vnicOf(1)));
    expectBothAgree(all, "H2: with the last VNIC of a VN gone its tag is gone");
    expect(all.nve.access()).toHaveLength(1);
    await within(all.clock, 1000, agent.detach(vnicOf(0)));
    expect([all.nve.attached(), all.nve.access(), all.it.bound()]).toEqual([[], [], []]);
  });

  test("H4: a VN by its name is known by its VN ID on both sides from the first answer on", async () => {
    const name = Uuid("cccccccc-0000-4000-8000-000000000005");
    const ips = [IpAddress("10.0.0.1")];
    await attach(0, [{ vn: name, macs: [{ mac: Mac(macOf(1)), ips }] }]);
    expect(all.it.agent.vnics()).toMatchObject([{ state: "associated", tree: [{ vn: 5, name }] }]);
    expectBothAgree(all, "by name");
    await run(all.clock, 10_000, 10);
    expectBothAgree(all, "some keepalives later");
    const add = treeOf(6, macOf(2));
    await within(all.clock, 1000, all.it.agent.change({ vnic: vnicOf(0), add, remove: [] }, limit));
    expectBothAgree(all, "changed");
    expect(all.nve.access()).toHaveLength(2);
  });

  test("H8: prefixes come, go and stay with keepalives, and both sides agree", async () => {
    const prefixes = ["10.0.0.1", "10.1.0.0/16", "fd00::/64"].map(IpPrefix);
    const tree = [{ vn: VnId(5), macs: [{ mac: Mac(macOf(1)), ips: prefixes }] }];
    await attach(0, tree);
    expectBothAgree(all, "prefixes");
    expect(all.nve.attached()[0]).toContain("10.0.0.1 10.1.0.0/16 fd00::/64");
    const remove = [{ vn: VnId(5), mac: Mac(macOf(1)), ip: IpPrefix("10.1.0.0/16") }];
    await within(all.clock, 1000, all.it.agent.change({ vnic: vnicOf(0), add: [], remove }, limit));
    await run(all.clock, 5000, 10);
    expectBothAgree(all, "one less");
    expect(all.nve.attached()[0]).not.toContain("10.1.0.0/16");
  });

  test("an attach takes no longer than the frames", async () => {
    const before = all.clock.now();
    await attach(0, treeOf(5, macOf(1), "10.0.0.1"));
    expect(all.clock.now() - before).toBeLessThanOrEqual(2);
  });

  test("H5: the same MAC and IP in two VNs are two VNICs with two tags", async () => {
    await attach(0, treeOf(5, macOf(1), "10.0.0.1"));
    await attach(1, treeOf(6, macOf(1), "10.0.0.1"));
    expectBothAgree(all, "equal addresses");
    expect(all.nve.access()).toHaveLength(2);
  });

  test("a VN that the NVA does not know is refused, and nothing is left on either side", async () => {
    all.nve.verdict = () => denied;
    await expect(attach(0, treeOf(5, macOf(1)))).rejects.toThrow(/VDP error 5/);
    expect(all.it.agent.vnics()).toEqual([]);
    expect(all.nve.agent.core.vsis.size).toBe(0);
  });

  test("a change that is refused leaves both sides as they were", async () => {
    await attach(0, treeOf(5, macOf(1), "10.0.0.1"));
    const before = all.nve.attached();
    all.nve.verdict = (vn) => (vn === 6 ? denied : granted(vn));
    const change = { vnic: vnicOf(0), add: treeOf(6, macOf(2)), remove: [] };
    await expect(within(all.clock, 6000, all.it.agent.change(change, limit))).rejects.toThrow(
      /VDP error 5/,
    );
    await run(all.clock, 3000, 10);
    expect(all.nve.attached()).toEqual(before);
    expectBothAgree(all, "as before");
  });

  test("the NVA away: attached as soon as it answers", async () => {
    all.nve.verdict = () => unreachable;
    const outcome = all.it.agent.attach(
      { vnic: vnicOf(0), interface: "tap0", tree: treeOf(5, macOf(1)) },
      limit,
    );
    await run(all.clock, 1500, 10);
    all.nve.verdict = granted;
    await within(all.clock, 3000, outcome);
    expectBothAgree(all, "attached late");
  });

  test("H19: stop leaves nothing on the switch", async () => {
    await attach(0, treeOf(5, macOf(1)));
    await attach(1, treeOf(6, macOf(2)));
    await within(all.clock, 2000, all.it.agent.stop(1000));
    await run(all.clock, 10);
    expect(all.nve.attached()).toEqual([]);
    expect(all.nve.access()).toEqual([]);
  });

  test("a silent death of the host: its tags come back after the keepalive timeout (802.1Q §41.5)", async () => {
    await attach(0, treeOf(5, macOf(1)));
    all.it.uplink.close();
    await run(all.clock, 5000, 10);
    expect(all.nve.attached()).toEqual([]);
    expect(all.nve.access()).toEqual([]);
  });
});

const bad: Faults = { loss: 0.25, delayMs: [0.1, 20], duplicate: 0.1, reorder: 0.1 };
const good: Faults = { loss: 0, delayMs: [0.1, 0.1], duplicate: 0, reorder: 0 };

/** One thing that an operator, the cable or the NVA does, by chance. */
function something({ it, nve, wire }: World, chance: () => number): void {
  const pick = (n: number): number => Math.floor(chance() * n);
  const n = pick(6);
  const vn = 5 + pick(4); // 8 is not to be had
  const tree = treeOf(vn, macOf(n * 4 + pick(4)), `10.0.0.${pick(3) + 1}`);
  const ignored = (): void => {};
  switch (pick(9)) {
    case 0:
    case 1:
    case 2:
      it.agent.attach({ vnic: vnicOf(n), interface: `tap${n}`, tree }, limit).catch(ignored);
      return;
    case 3:
    case 4:
      it.agent.change({ vnic: vnicOf(n), add: tree, remove: [] }, limit).catch(ignored);
      return;
    case 5:
      it.agent
        .change({ vnic: vnicOf(n), add: [], remove: [{ vn: VnId(vn) }] }, limit)
        .catch(ignored);
      return;
    case 6:
      it.agent.detach(vnicOf(n)).catch(ignored);
      return;
    case 7:
      wire.set(wire.a.state === "up" ? "down" : "up");
      return;
    default:
      nve.verdict = chance() < 0.3 ? () => unreachable : (of) => (of === 8 ? denied : granted(of));
  }
}

describe("on a bad cable, with a changeable NVA", () => {
  test.each(Array.from({ length: 20 }, (_, i) => i + 1))(
    "both sides agree when it is over (seed %i)",
    async (seed) => {
      const all = await world(seed);
      const chance = random(seed * 31);
      all.wire.faults = bad;
      for (let i = 0; i < 60; i += 1) {
        something(all, chance);
        await run(all.clock, 1 + chance() * 400, 20);
        const tags = tagsOf(all.it).map((line) => line.split(" ")[0]);
        expect(new Set(tags).size, "P11: a tag is one VN").toBe(tags.length);
      }
      all.wire.faults = good;
      all.wire.set("up");
      all.nve.verdict = (vn) => (vn === 8 ? denied : granted(vn));
      await run(all.clock, 20_000, 100);
      expectBothAgree(all, `seed ${seed}`);
      for (const { state } of all.it.agent.vnics()) {
        expect(["associated", "refused"]).toContain(state);
      }
      for (const { vnic } of all.it.agent.vnics()) {
        await within(all.clock, 3000, all.it.agent.detach(vnic), 5);
      }
      await run(all.clock, 5000, 100);
      expect([all.nve.attached(), all.nve.access(), all.it.bound()]).toEqual([[], [], []]);
      expect(all.nve.agent.core.vsis.size).toBe(0);
    },
  );
});
