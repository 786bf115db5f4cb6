import { describe, expect, test } from "vitest";
import { hasEtcd } from "../support/etcd.ts";
import { until } from "../support/lab.ts";
import {
  backAfter,
  decider,
  lostSince,
  nvas,
  pinging,
  tors,
  victims,
  writing,
} from "../support/replica-lab.ts";
import { useTwoRacks, VN, VNI, vm } from "../support/two-racks.ts";

// One lab for the file: what fails in one test is mended in it. Traffic goes on across the racks in each of them.
describe.skipIf(!hasEtcd)("three replicas over three members of etcd", () => {
  const lab = useTwoRacks("nva-replicas");
  const programs = victims(lab);
  /** What a failure may cost: of echo requests across the racks, nothing. */
  const traffic = () => pinging(lab, "red1", vm("red3").ip);
  const shown = (what: string, values: object) =>
    process.stdout.write(`${what}: ${JSON.stringify(values)}\n`);

  /** Both ToRs have an NVA, and are known to it. */
  const converged = () =>
    until(
      "both ToRs to be connected",
      async () => {
        const { code, stdout } = await lab.exec("nva", "nva", "nve", "list", "--json");
        const rows: { nve: string; state: string }[] = code === 0 ? JSON.parse(stdout) : [];
        return rows.length === 2 && rows.every(({ state }) => state === "connected")
          ? true
          : undefined;
      },
      15_000,
    );

  /** Runs a failure under traffic and writes. @returns how long each ToR was without an NVA */
  async function under(what: string, fail: (leader: string) => Promise<void>) {
    const leader = await decider(lab);
    const ping = traffic();
    const writes = writing(lab, `${what.replaceAll(" ", "-")}-`);
    await until("writes to flow", () => writes.count > 5 || undefined);
    const since = Date.now();
    await fail(leader);
    const back = await Promise.all(tors.map((tor) => backAfter(lab, tor, since)));
    const before = writes.count;
    await until("writes to go on", () => writes.count > before + 5 || undefined, 15_000);
    const written = await writes.stop();
    const pinged = await ping.stop();
    shown(what, { leader, backAfterMs: back, ...written, ...pinged });
    return { leader, back, written, pinged };
  }

  test("A14: each replica serves commands and NVEs", async () => {
    for (const [i, name] of (["red", "blue"] as const).entries()) {
      const words = ["--id", String(VN[name]), "--vni", String(VNI[name])];
      await lab.run(nvas[i + 1] ?? "nva", "nva", "vn", "create", name, ...words);
    }
    const lists = await Promise.all(
      nvas.map((node) => lab.run(node, "nva", "vn", "list", "--json")),
    );
    expect(new Set(lists).size).toBe(1);
    await lab.ready("srv1", "srv2", "srv3");
    await lab.attach("red1");
    await lab.attach("red3");
    expect(await lab.ping("red1", vm("red3").ip)).toBe(true);
  });

  test("A14, A15: the replica that decides is killed: another decides and the NVEs are there within 3 s, nothing acknowledged is lost", async () => {
    const { leader, back, written, pinged } = await under("killed", programs.kill);
    expect(Math.max(...back)).toBeLessThan(3_000);
    expect(written.missing).toEqual([]);
    expect(pinged.lost).toBe(0);
    expect(await decider(lab)).not.toBe(leader);
    await lab.attach("red2");
    expect(await lab.ping("red3", vm("red2").ip)).toBe(true);
    programs.start(leader);
    await lab.detach("red2");
    await converged();
  });

  test("A14, A15: the replica that decides is paused: another decides within 3 s, and when it goes on it can write nothing", async () => {
    const before = await decider(lab);
    const { back, written, pinged } = await under("paused", async () =>
      programs.signal(before, "SIGSTOP"),
    );
    expect(await decider(lab)).not.toBe(before);
    programs.signal(before, "SIGCONT");
    expect(Math.max(...back)).toBeLessThan(3_000);
    expect(written.missing).toEqual([]);
    expect(pinged.lost).toBe(0);
    await converged();
    const list = await lab.run(before, "nva", "vn", "list", "--json"); // passed on by now
    expect(list).toBe(await lab.run(await decider(lab), "nva", "vn", "list", "--json"));
  });

  test("A15: the replica that decides stands still for 0.8 s: it decides on, and NVEs keep it", async () => {
    const before = await decider(lab);
    const ping = traffic();
    const since = Date.now();
    programs.signal(before, "SIGSTOP");
    await new Promise((resolve) => setTimeout(resolve, 800));
    programs.signal(before, "SIGCONT");
    const writes = writing(lab, "held-up-");
    // Whoever took it for gone would have said so by then.
    await until("three seconds to pass", () => Date.now() - since > 3_000 || undefined);
    const written = await writes.stop();
    const pinged = await ping.stop();
    shown("held up", { before, ...written, ...pinged });
    expect(await decider(lab)).toBe(before);
    expect(tors.map((tor) => lostSince(lab, tor, since))).toEqual([false, false]);
    expect(written.missing).toEqual([]);
    expect(pinged.lost).toBe(0);
  });

  test("A14, A15: the link of the replica that decides goes down, another decides within 3 s, and it comes back", async () => {
    const { leader, back, written, pinged } = await under("cut off", async (node) => {
      await lab.run(node, "ip", "link", "set", "eth1", "down");
    });
    expect(Math.max(...back)).toBeLessThan(3_000);
    expect(written.missing).toEqual([]);
    expect(pinged.lost).toBe(0);
    expect(await decider(lab)).not.toBe(leader);
    await lab.run(leader, "ip", "link", "set", "eth1", "up");
    await lab.run(leader, "ip", "route", "replace", "10.0.0.0/16", "via", "198.51.100.254");
    await converged();
  });

  test("A14: the leader of etcd is killed: writes wait, NVEs notice nothing, nothing acknowledged is lost", async () => {
    const ping = traffic();
    const writes = writing(lab, "etcd-");
    await until("writes to flow", () => writes.count > 5 || undefined);
    const since = Date.now();
    const member = await etcdLeader();
    await programs.kill(member);
    const before = writes.count;
    await until("writes to go on", () => writes.count > before + 10 || undefined, 15_000);
    const written = await writes.stop();
    const pinged = await ping.stop();
    shown("etcd leader killed", { member, ...written, ...pinged });
    expect(written.missing).toEqual([]);
    expect(written.longestMs).toBeLessThan(3_000);
    expect(pinged.lost).toBe(0);
    expect(tors.map((tor) => lostSince(lab, tor, since))).toEqual([false, false]);
  });

  async function etcdLeader(): Promise<string> {
    for (const n of [1, 2, 3]) {
      const { stdout } = await lab.exec(
        `etcd${n}`,
        process.execPath,
        "-e",
        `fetch("http://198.51.100.1${n}:2379/metrics").then((r) => r.text()).then(console.log)`,
      );
      if (/^etcd_server_is_leader 1$/m.test(stdout)) return `etcd${n}`;
    }
    throw new Error("no member of etcd leads");
  }

  test("H25, A15: while no NVA answers, forwarding goes on and VNs that are known are attached to; after it both sides agree, without a flush", async () => {
    const ping = traffic();
    await Promise.all(nvas.map(programs.kill));
    await until("both ToRs to have lost their NVA", async () => {
      const states = await Promise.all(
        tors.map(async (tor) => JSON.stringify(await lab.show(tor, "switch-agent", "status"))),
      );
      return states.every((text) => !text.includes('"connected"')) || undefined;
    });
    const red2 = await lab.attach("red2"); // tor1 knows the VN by red1
    expect(red2.state).toBe("associated");
    expect(await lab.ping("red1", vm("red2").ip)).toBe(true); // of the same rack: known there
    expect(await lab.ping("red1", vm("red3").ip)).toBe(true);
    nvas.forEach(programs.start);
    await converged();
    await until("red2 to be known on the other rack", async () =>
      (await lab.fdb("tor2")).find(({ mac }) => mac === vm("red2").mac),
    );
    expect(await lab.ping("red3", vm("red2").ip)).toBe(true);
    const mappings = (await lab.mappings()).map(({ mac }) => mac).sort();
    expect(mappings).toEqual([vm("red1").mac, vm("red2").mac, vm("red3").mac]);
    const pinged = await ping.stop();
    shown("no NVA", pinged);
    expect(pinged.lost).toBe(0);
  });
});
