import { appendFileSync, readFileSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { nodeState } from "@nve/lab/labs";
import { describe, expect, test, vi } from "vitest";
import { withIpv6 } from "../support/encapsulation-lab.ts";
import { isWhole, useMover } from "../support/migration-lab.ts";
import { threeRacks } from "../support/three-racks.ts";
import { useTwoRacks, type Vm, vm } from "../support/two-racks.ts";

vi.setConfig({ testTimeout: 180_000 }); // a command takes seconds where many share the machine

/** Three racks in three subnets of the underlay; no two switches speak to each other as the third speaks to either. */
const lists = {
  tor1: "nvgre, vxlan, mpls-over-gre",
  tor2: "mpls-over-gre, nvgre",
  tor3: "vxlan, mpls-over-gre",
} as const;

function racks(family: 4 | 6): string {
  const topology = threeRacks("migration: { holdSeconds: 20, forwardSeconds: 1 }\n");
  for (const [n, [tor, encapsulations]] of Object.entries(lists).entries()) {
    const path = join(dirname(topology), tor, "config.yaml");
    const text = readFileSync(path, "utf8");
    const vtep = `vtep: "2001:db8:${n + 1}::1${n + 1}"`;
    writeFileSync(path, family === 4 ? text : text.replace(/vtep: .*/, vtep));
    appendFileSync(path, `dataplane: { encapsulations: [${encapsulations}] }\n`);
  }
  if (family === 6) writeFileSync(topology, ofThree(withIpv6(readFileSync(topology, "utf8"))));
  return topology;
}

const ofThree = (text: string): string =>
  text
    .replace(
      "- ip addr add 10.0.3.1/24 dev eth4",
      "$&\n        - ip addr add 2001:db8:3::1/64 dev eth4",
    )
    .replace(
      "- ip route add default via 10.0.3.1",
      "$&\n        - ip addr add 2001:db8:3::13/64 dev eth3\n        - ip route add default via 2001:db8:3::1",
    );

describe.each([4, 6] as const)("over an underlay of IPv%i, with three encapsulations", (family) => {
  const lab = useTwoRacks(racks(family));
  const home = vm("red1");
  const peer = { ...vm("red4"), tor: "tor3" };
  const mover = useMover(lab, home);
  let away: Vm;

  async function moves(from: Vm, to: Vm): Promise<void> {
    const end = await mover.streaming(peer, [home, away]);
    await mover.prepare(to);
    await mover.say("suspend", from);
    await mover.say("activate", to);
    await lab.detach(from);
    isWhole(await end());
    await mover.rests("completed", to, peer);
  }

  test("P2, M1, M2: there and back between subnets and encapsulations: none is lost, none comes twice", async () => {
    await lab.createVns();
    await lab.ready("srv1", "srv3", "srv4");
    mover.vnic = (await lab.attach(home)).vnic;
    await lab.attach(peer);
    away = await lab.addVm({ ...home, vm: "red1-srv3", server: "srv3" });
    expect(await lab.ping(peer.vm, home.ip)).toBe(true);
    await moves(home, away);
    expect(await lab.ping(peer.vm, home.ip)).toBe(true);
    await moves(away, home);
  });

  test("M5, A24: what comes to the source in one encapsulation goes on in another", async () => {
    const pid = nodeState(lab.name, "tor3").process?.pid ?? 0;
    await mover.prepare(away);
    process.kill(pid, "SIGSTOP"); // it sends to tor1 all the time
    try {
      await mover.say("activate", away);
      await lab.detach(home);
      const hear = await mover.hearing([away]);
      const gre = family === 4 ? "ip proto 47" : "ip6 proto 47";
      const onward = await lab.capture("tor2", "eth3", gre);
      await mover.sending(peer, 1, 200);
      expect((await hear()).flat()).toEqual(Array.from({ length: 200 }, (_, i) => i + 1));
      const source = family === 4 ? "10.0.1.11 >" : "2001:db8:1::11 >";
      expect((await onward.lines()).some((line) => line.includes(source))).toBe(true);
    } finally {
      process.kill(pid, "SIGCONT");
    }
    await mover.rests("completed", away, peer);
  });
});
