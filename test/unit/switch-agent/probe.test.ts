import { createLog } from "@nve/program/log";
import { type Instant, IpAddress, type NveId, type VnId } from "@nve/protocol-spec";
import { beginPath, lengthOf, needs, type Path, stepPath } from "@nve/switch-agent/probe/path";
import { type PeerNeed, Probing } from "@nve/switch-agent/probe/probing";
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { fakeClock } from "../../support/fake-clock.ts";

const silentLog = createLog("switch-agent", "silent");
const at = (ms: number) => ms as Instant;
const timing = { floor: 576, intervalMs: 60_000, random: () => 0.5 };

/** Goes on until the way is known, where packets of up to `most` octets arrive. @returns it, and how many probes went */
function probed(path: Path, most: number): { path: Path; probes: number } {
  let now = path.at;
  let probes = 0;
  let is = path;
  do {
    const length = lengthOf(is, timing);
    probes += 1;
    is = stepPath(is, { on: "sent" }, now, timing);
    now = at(is.at);
    is = stepPath(is, { on: length <= most ? "reply" : "lost" }, now, timing);
  } while (is.at === now);
  return { path: is, probes };
}

describe("the way to another NVE", () => {
  test("A10: what is needed arrives: one probe, and the next after the interval", () => {
    const { path, probes } = probed(beginPath(1550, at(0), 0), 9000);
    expect(path).toMatchObject({ state: "ok", mtu: 1550 });
    expect([probes, path.at - path.since]).toEqual([1, 60_000]);
  });

  test("A10: any black hole is found to the octet, with few probes", () => {
    fc.assert(
      fc.property(fc.integer({ min: 577, max: 9216 }), fc.nat(), (need, n) => {
        const most = 576 + (n % (need - 576));
        const { path, probes } = probed(beginPath(need, at(0), 0), most);
        expect(path).toMatchObject({ state: "black-hole", mtu: most });
        expect(probes).toBeLessThan(4 + 2 * 15);
      }),
    );
  });

  test("A10: found, it is looked at again soon: first what is needed, then what arrived", () => {
    const { path } = probed(beginPath(1550, at(0), 0), 1400);
    const again = probed(path, 1400);
    expect(again).toMatchObject({ path: { state: "black-hole", mtu: 1400 }, probes: 4 });
    expect(again.path.since).toBe(path.since);
    expect(probed(path, 1550)).toMatchObject({ path: { state: "ok", mtu: 1550 }, probes: 1 });
    expect(probed(path, 1300)).toMatchObject({ path: { state: "black-hole", mtu: 1300 } });
  });

  test("A10: of one that answers no echo nothing is said", () => {
    const { path, probes } = probed(beginPath(1550, at(0), 0), 0);
    expect(path).toMatchObject({ state: "silent", mtu: 0 });
    expect(probes).toBe(6);
  });

  test("A10: VNs that need less are served by what arrived; those that need more are looked at anew", () => {
    const { path } = probed(beginPath(1550, at(0), 0), 1400);
    expect(needs(path, 1300, at(99_000))).toMatchObject({ state: "ok", since: 99_000 });
    expect(needs(path, 1450, at(99_000))).toMatchObject({ state: "black-hole", at: 99_000 });
    expect(needs(path, 1550, at(99_000))).toBe(path);
  });
});

describe("all ways together", () => {
  const peer = (n: number): PeerNeed => ({
    vtep: IpAddress(`10.0.${n >> 8}.${n & 255}`),
    nves: [`nve${n}` as NveId],
    vns: [7 as VnId],
    need: 1550,
  });

  function probing(n: number, most: (vtep: IpAddress) => number) {
    const clock = fakeClock();
    const sent: { at: number; to: IpAddress }[] = [];
    const peers = Array.from({ length: n }, (_, i) => peer(i + 1));
    let seed = 1;
    const all = new Probing(
      { peers: () => peers, isOverIpv6: false, clock, log: silentLog },
      {
        intervalMs: 60_000,
        perSecond: 20,
        random: () => {
          seed = (seed * 16807) % 2147483647;
          return seed / 2147483647;
        },
        open: (hear) => ({
          send: async (to, sequence, octets) => {
            sent.push({ at: clock.now(), to });
            if (octets <= most(to)) hear({ from: to, sequence });
            return true;
          },
          close: () => {},
        }),
      },
    );
    return { clock, sent, all };
  }

  test("A10: of 400 ways each is probed within half a minute, with 20 probes a second at the most", () => {
    const { clock, sent, all } = probing(400, () => 9000);
    clock.advance(30_000);
    expect(new Set(sent.map(({ to }) => to)).size).toBe(400);
    for (let second = 0; second < 30; second++) {
      const some = sent.filter(({ at }) => at >= second * 1000 && at < second * 1000 + 1000);
      expect(some.length).toBeLessThanOrEqual(20);
    }
    expect(all.peers().every(({ path }) => path?.state === "ok")).toBe(true);
    expect(all.warnings).toEqual([]);
    all.close();
  });

  test("A10: black holes are warned of one by one, and no more when they are gone", () => {
    let hole = 1400;
    const bad = IpAddress("10.0.0.3");
    const { clock, all } = probing(5, (vtep) => (vtep === bad ? hole : 9000));
    clock.advance(60_000);
    expect(all.warnings).toHaveLength(1);
    expect(all.warnings[0]).toContain(
      "nve3 10.0.0.3 arrive up to 1400 octets, and its VNs send 1550",
    );
    hole = 9000;
    clock.advance(15_000);
    expect(all.warnings).toEqual([]);
    all.close();
  });

  test("an answer from elsewhere than asked is none", () => {
    const clock = fakeClock();
    let hears: (reply: { from: IpAddress; sequence: number }) => void = () => {};
    const all = new Probing(
      { peers: () => [peer(1)], isOverIpv6: false, clock, log: silentLog },
      {
        ...{ intervalMs: 60_000, perSecond: 20, random: () => 0 },
        open: (hear) => {
          hears = hear;
          return {
            send: async (_, sequence) => {
              hears({ from: IpAddress("10.9.9.9"), sequence });
              return true;
            },
            close: () => {},
          };
        },
      },
    );
    clock.advance(20_000);
    expect(all.peers()[0]?.path?.state).toBe("silent");
    all.close();
  });

  test("without ICMP nothing is probed, and nothing breaks", () => {
    const clock = fakeClock();
    const open = () => {
      throw new Error("no raw-socket");
    };
    const all = new Probing(
      { peers: () => [peer(1)], isOverIpv6: false, clock, log: silentLog },
      { intervalMs: 1000, perSecond: 1, random: () => 0, open },
    );
    expect([all.isOn, all.peers()[0]?.path, all.warnings]).toEqual([false, undefined, []]);
    all.close();
  });
});
