import { beforeAll, describe, expect, test, vi } from "vitest";
import { hasEtcd } from "../support/etcd.ts";
import { until } from "../support/lab.ts";
import { isWhole, useMover } from "../support/migration-lab.ts";
import { backAfter, decider, nvas, tors, victims } from "../support/replica-lab.ts";
import { useTwoRacks, type Vm, VN, VNI, vm } from "../support/two-racks.ts";

vi.setConfig({ testTimeout: 180_000 }); // a command takes seconds where many share the machine

// One lab for the file. In the middle of a move the replica dies that decides; another goes on with it.
describe.skipIf(!hasEtcd)("migrations over three replicas of the NVA", () => {
  const lab = useTwoRacks("nva-replicas");
  const programs = victims(lab);
  const home = vm("red1");
  /** Behind the ToR that red1 leaves. */
  const peer = vm("red2");
  let asked: (typeof nvas)[number] = "nva";
  const mover = useMover(lab, home, () => asked);
  const { migration, where, prepare, say, rests, whenIs } = mover;
  /** red1 behind the other ToR. */
  let away: Vm;

  /** Kills the one that decides. @returns how it is started again, when both ToRs have another */
  async function killed(): Promise<() => Promise<void>> {
    const leader = await decider(lab);
    const since = Date.now();
    asked = nvas.find((node) => node !== leader) ?? "nva";
    await programs.kill(leader);
    await decider(lab, 30_000);
    return async () => {
      await Promise.all(tors.map((tor) => backAfter(lab, tor, since)));
      programs.start(leader);
    };
  }
  const isAt = (tor: string) =>
    until(`it to be at ${tor}`, async () => (await where()) === tor || undefined, 15_000);

  async function losesNothing(act: () => Promise<void>): Promise<void> {
    const end = await mover.streaming(peer, [home, away]);
    await act();
    isWhole(await end());
  }

  beforeAll(async () => {
    for (const name of ["red", "blue"] as const) {
      const words = ["--id", String(VN[name]), "--vni", String(VNI[name])];
      await lab.run("nva", "nva", "vn", "create", name, ...words);
    }
    await lab.ready("srv1", "srv2", "srv3");
    mover.vnic = (await lab.attach(home)).vnic;
    await lab.attach(peer);
    away = await lab.addVm({ ...home, vm: "red1-srv3", server: "srv3" });
  }, 180_000);

  test("V2: the replica that decides is killed before the switch-over: the next one has the reservation, and goes on", async () => {
    await losesNothing(async () => {
      await prepare(away);
      const restart = await killed();
      expect((await migration()).state).toBe("prepared"); // as the next one knows it
      await say("suspend", home);
      await say("activate", away);
      await isAt("tor2");
      await lab.detach(home);
      await rests("completed", away, peer);
      await restart();
    });
  });

  test("M5, V2: the replica that decides is killed right after the switch-over: the next one tells the source to forward on, and when to end", async () => {
    await losesNothing(async () => {
      await prepare(home);
      await say("suspend", away);
      await say("activate", home);
      const restart = await killed(); // the source has not left: it cannot be over yet
      expect((await migration()).state).toBe("switched-over");
      await lab.detach(away);
      const { steps } = await rests("completed", home, peer);
      expect(steps.map(({ what }) => what)).toContain("all others know where it is");
      await restart();
    });
  });

  test("H21, V2: the replica that decides is killed while the addresses are held: the next one holds them for the arrival", async () => {
    await prepare(away);
    await lab.detach(home);
    expect((await migration()).state).toBe("held");
    const restart = await killed();
    await whenIs("held");
    await say("activate", away);
    await isAt("tor2");
    await rests("completed", away, peer);
    expect(await lab.ping(peer.vm, home.ip)).toBe(true);
    await restart();
  });
});
