import type { Report } from "@nve/nva/authority/authority";
import type { DuplicateRule } from "@nve/nva/authority/declared";
import { migrationFactor } from "@nve/nva/authority/duplicates";
import type { Session } from "@nve/nva/authority/nve-state";
import type { Step } from "@nve/nva/authority/records";
import { Instant, IpAddress, type Mac } from "@nve/protocol-spec";
import fc from "fast-check";
import { expect, test } from "vitest";
import { ruled } from "./ruled.ts";
import { blue, claim, mac, report, uuid } from "./world.ts";

const freeze: DuplicateRule = { moves: 3, windowMs: 10_000, action: "freeze", freezeMs: 60_000 };

/** Two NVEs that both have MAC 1, as two VNICs unless said otherwise. */
function rivals(rule: Partial<DuplicateRule> = {}, vnics = [uuid(1), uuid(2)]) {
  const world = ruled({ vn: { duplicates: { ...freeze, ...rule } } });
  const sessions: Session[] = [];
  const connect = (): void => {
    sessions[0] = world.connect("tor1", "10.0.0.1");
    sessions[1] = world.connect("tor2", "10.0.0.2");
  };
  connect();
  let sequence = 0;
  /** NVE 1 or 2 takes the address. */
  function take(nve: 1 | 2, more: Partial<ReturnType<typeof claim>> = {}): void {
    const session = sessions[nve - 1];
    const vnic = vnics[nve - 1];
    sequence += 1;
    if (session === undefined || vnic === undefined) throw new Error("no such NVE");
    world.tell(session, { claims: [claim(1, { vnic, sequence, ...more })] });
  }
  const release = (nve: 1 | 2): void => {
    const session = sessions[nve - 1];
    if (session !== undefined) world.tell(session, { withdrawn: [{ vnId: blue, mac: mac(1) }] });
  };
  const where = (n = 1): string =>
    world.all
      .mapping(blue, mac(n))
      ?.locations.map(({ nveId }) => nveId)
      .join("+") ?? "nowhere";
  return { world, connect, take, release, where };
}

test("A19: an address that moves three times in its window is frozen where it was, which is said once", () => {
  const { world, take, where } = rivals();
  take(1);
  take(2);
  take(1);
  expect(where()).toBe("tor1");
  expect(world.all.duplicates.list()).toEqual([]);
  take(2);
  expect(where()).toBe("tor1");
  take(1);
  take(2);
  expect(where()).toBe("tor1");
  expect(world.all.duplicates.list()).toEqual([
    {
      vnId: blue,
      mac: mac(1),
      moves: 3,
      sinceUnixMs: 1_000_000,
      untilUnixMs: 1_060_000,
      frozen: true,
      holder: "nve:tor1",
      sources: ["nve:tor1", "nve:tor2"],
    },
  ]);
  expect(world.said("duplicate.")).toMatchObject([
    {
      actor: "nva",
      action: "duplicate.found",
      object: `acme/blue/${mac(1)}`,
      detail: { moves: 3 },
    },
  ]);
});

test("A19: moves that are further apart than the window are moves and no more", () => {
  const { world, take, where } = rivals();
  for (let i = 0; i < 10; i++) {
    world.at(i * 5_000);
    take(i % 2 === 0 ? 1 : 2);
    expect(where()).toBe(i % 2 === 0 ? "tor1" : "tor2");
  }
  expect(world.all.duplicates.list()).toEqual([]);
});

test("A19: warn lets it move on, and is over when it has been quiet for a window", () => {
  const { world, take, where } = rivals({ action: "warn" });
  for (const nve of [1, 2, 1, 2, 1] as const) take(nve);
  expect(where()).toBe("tor1");
  expect(world.all.duplicates.list()).toMatchObject([{ frozen: false, moves: 4 }]);
  expect(world.said("duplicate.")).toHaveLength(1);
  world.at(9_999);
  expect(world.all.duplicates.list()).toHaveLength(1);
  world.at(10_000);
  expect(world.all.duplicates.list()).toEqual([]);
  expect(world.said("duplicate.cleared")).toMatchObject([{ actor: "nva" }]);
});

test("A19: a frozen address is free again after its time: the claim that ranks first counts", () => {
  const { world, take, where } = rivals();
  for (const nve of [1, 2, 1, 2, 2, 2] as const) take(nve);
  expect(where()).toBe("tor1");
  expect(world.all.deadline).toBe(60_000);
  const before = world.all.mapping(blue, mac(1))?.sequence ?? 0;
  world.at(60_000);
  expect(where()).toBe("tor2");
  expect(world.all.mapping(blue, mac(1))?.sequence).toBeGreaterThan(before);
  expect(world.all.duplicates.list()).toEqual([]);
  expect(world.rowsOf("duplicate")).toEqual([]);
});

test("A19: somebody clears it, and the count begins anew", () => {
  const { world, take } = rivals({ freezeMs: 0 });
  for (const nve of [1, 2, 1, 2] as const) take(nve);
  world.at(86_400_000);
  world.connect("tor1", "10.0.0.1");
  expect(world.all.duplicates.list()).toMatchObject([{ frozen: true, untilUnixMs: 0 }]);
  expect(world.keep(world.all.clearDuplicate(blue, mac(2), "local"))).toBe(0);
  expect(world.keep(world.all.clearDuplicate(blue, mac(1), "cert:alice"))).toBe(1);
  expect(world.all.duplicates.list()).toEqual([]);
  expect(world.said("duplicate.cleared")).toMatchObject([{ actor: "cert:alice" }]);
});

test("A19: a freeze outlives a restart of the NVA", () => {
  const { world, connect, take, where } = rivals();
  for (const nve of [1, 2, 1, 2] as const) take(nve);
  world.restart();
  expect(where()).toBe("tor1");
  connect();
  take(1);
  take(2);
  expect(where()).toBe("tor1");
  expect(world.all.duplicates.list()).toMatchObject([{ frozen: true, holder: "nve:tor1" }]);
  world.at(60_000);
  expect(where()).toBe("tor2");
});

test("A19: the holder of a frozen address lets go of it: it is frozen where it is then", () => {
  const { world, take, release, where } = rivals();
  for (const nve of [1, 2, 1, 2] as const) take(nve);
  release(1);
  expect(where()).toBe("tor2");
  take(1);
  expect(where()).toBe("tor2");
  release(1);
  release(2);
  expect(where()).toBe("nowhere");
  take(1);
  take(2);
  expect(where()).toBe("tor1");
  expect(world.all.duplicates.list()).toHaveLength(1);
});

test("A19: a VM that migrates is no duplicate; two that have its UUID are", () => {
  const { world, take, where } = rivals({}, [uuid(1), uuid(1)]);
  const most = freeze.moves * migrationFactor;
  for (let i = 0; i < most; i++) take(i % 2 === 0 ? 1 : 2);
  expect(where()).toBe("tor2");
  expect(world.all.duplicates.list()).toEqual([]);
  take(1);
  expect(world.all.duplicates.list()).toMatchObject([{ frozen: true, holder: "nve:tor2" }]);
  expect(where()).toBe("tor2");
});

test("A19: gleaned moves of one VNIC count, those of an anycast address and of static claims do not", () => {
  const gleaned = rivals({}, [uuid(1), uuid(1)]);
  for (const nve of [1, 2, 1, 2] as const) gleaned.take(nve, { gleaned: true });
  expect(gleaned.world.all.duplicates.list()).toHaveLength(1);
  const anycast = rivals();
  for (const nve of [1, 2, 1, 2, 1] as const) anycast.take(nve, { anycast: true });
  expect(anycast.world.all.duplicates.list()).toEqual([]);
});

test("A19: a VM that goes and another that comes with its MAC are no duplicates", () => {
  const { world, take, release } = rivals();
  for (let i = 0; i < 8; i++) {
    take(i % 2 === 0 ? 1 : 2);
    release(i % 2 === 0 ? 1 : 2);
  }
  expect(world.all.duplicates.list()).toEqual([]);
});

test("A19: an IP that two VNICs take from each other is frozen at the MAC that had it; clearing frees it", () => {
  const world = ruled({ vn: { duplicates: freeze } });
  const ip = IpAddress("10.0.0.7");
  const sessions = [world.connect("tor1", "10.0.0.1"), world.connect("tor2", "10.0.0.2")];
  const say = (n: 1 | 2, ips: readonly IpAddress[]): void => {
    const session = sessions[n - 1];
    if (session !== undefined) world.tell(session, { claims: [claim(n, { vnic: uuid(n), ips })] });
  };
  const holders = (): Mac[] =>
    [mac(1), mac(2)].filter((one) => world.all.mapping(blue, one)?.ips.includes(ip));
  const owner = (): Mac | undefined => world.all.lookup(blue, ip)?.mac;
  say(1, [ip]);
  for (let i = 0; i < 3; i++) {
    const n = i % 2 === 0 ? 2 : 1;
    say(n, []);
    say(n, [ip]);
  }
  expect(world.all.duplicates.list()).toMatchObject([{ mac: mac(1), ip, frozen: true, moves: 3 }]);
  expect(holders()).toEqual([mac(1)]);
  expect(owner()).toBe(mac(1));
  say(1, []); // its holder has it no more
  expect(holders()).toEqual([mac(2)]);
  say(1, [ip]);
  expect(owner()).toBe(mac(1));
  world.keep(world.all.clearDuplicate(blue, mac(1), "local"));
  expect(holders()).toEqual([mac(1), mac(2)]);
});

test("A19: watchers are told of all that a freeze changes", () => {
  const { world, take } = rivals();
  for (const nve of [1, 2, 1] as const) take(nve);
  const session = world.connect("tor2", "10.0.0.2");
  const claims = [claim(1, { vnic: uuid(2), sequence: 9 })];
  const step = world.all.report(
    session,
    { claims, withdrawn: [], joined: [], left: [], complete: false },
    0 as never,
  );
  expect(step.touched.get(blue)?.macs).toEqual(new Set([mac(1)]));
  expect(step.changes.filter(({ table }) => table === "duplicate")).toHaveLength(1);
});

test("V10: an IP that very many MACs have is nobody's duplicate, and costs each claim no look at all of them", () => {
  const world = ruled({ vn: { duplicates: { ...freeze, moves: 1 } } });
  const tor1 = world.connect("tor1", "10.0.0.1");
  const ips = [IpAddress("10.0.0.7")];
  const of = (n: number) => claim(n, { vnic: uuid(n), ips });
  world.tell(tor1, {
    claims: Array.from({ length: 17 }, (_, n) => claim(n + 1, { vnic: uuid(n), ips: [] })),
  });
  for (let n = 1; n <= 17; n++) world.tell(tor1, { claims: [of(n)] });
  expect(world.all.duplicates.list()).toMatchObject([{ ip: ips[0], moves: 1 }]); // the second MAC
  world.keep(world.all.clearDuplicate(blue, mac(1), "local"));
  for (let n = 18; n <= 40; n++) world.tell(tor1, { claims: [of(n)] });
  expect(world.all.duplicates.list()).toEqual([]);
});

const event = fc.oneof(
  {
    weight: 8,
    arbitrary: fc.record({
      on: fc.constant("claim" as const),
      nve: fc.integer({ min: 0, max: 2 }),
      n: fc.integer({ min: 1, max: 3 }),
      ips: fc.subarray(["10.0.0.7", "10.0.0.8"]),
      gleaned: fc.constantFrom(false, false, true),
    }),
  },
  {
    weight: 3,
    arbitrary: fc.record({
      on: fc.constant("withdraw" as const),
      nve: fc.integer({ min: 0, max: 2 }),
      n: fc.integer({ min: 1, max: 3 }),
    }),
  },
  { weight: 1, arbitrary: fc.record({ on: fc.constant("wait" as const) }) },
  {
    weight: 1,
    arbitrary: fc.record({ on: fc.constant("clear" as const), n: fc.integer({ min: 1, max: 3 }) }),
  },
);

test("any history: whatever mapping changes is told, sequences never go down, and a restart changes no mapping", () => {
  fc.assert(
    fc.property(fc.array(event, { maxLength: 40, size: "max" }), (history) => {
      const world = ruled({ vn: { duplicates: { ...freeze, moves: 2 } } });
      const sessions = ["tor1", "tor2", "tor3"].map((id, i) =>
        world.connect(id, `10.0.0.${i + 1}`),
      );
      const highest = new Map<Mac, number>();
      let now = 0;
      const mappings = () =>
        new Map([1, 2, 3].map((n) => [mac(n), world.all.mapping(blue, mac(n))] as const));
      for (const one of history) {
        const before = mappings();
        const session = "nve" in one ? sessions[one.nve] : undefined;
        const told = (said: Partial<Report>) =>
          session && world.all.report(session, report(said), Instant(now));
        let step: Step<unknown> | undefined;
        if (one.on === "claim")
          step = told({
            claims: [
              claim(one.n, {
                vnic: uuid(one.nve * 10 + one.n),
                ips: one.ips.map(IpAddress),
                ...(one.gleaned && { gleaned: true }),
              }),
            ],
          });
        else if (one.on === "withdraw")
          step = told({ withdrawn: [{ vnId: blue, mac: mac(one.n) }] });
        else if (one.on === "clear") step = world.all.clearDuplicate(blue, mac(one.n), "local");
        else {
          now += 30_000;
          step = world.all.tick(Instant(now));
        }
        if (step === undefined) throw new Error("nothing happened");
        world.keep(step);
        for (const [address, mapping] of mappings()) {
          if (JSON.stringify(mapping) !== JSON.stringify(before.get(address)))
            expect(step.touched.get(blue)?.macs.has(address), `${address} is told`).toBe(true);
          const sequence = mapping?.sequence ?? 0;
          if (mapping !== undefined)
            expect(sequence).toBeGreaterThanOrEqual(highest.get(address) ?? 0);
          highest.set(address, Math.max(sequence, highest.get(address) ?? 0));
        }
      }
      const served = [...mappings().values()].map((one) => one && { ...one, stale: true });
      world.restart();
      expect([...mappings().values()]).toEqual(served);
    }),
    { numRuns: 150 },
  );
});
