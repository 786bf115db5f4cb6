import type { Intent, Place } from "@nve/switch-agent/nve";
import { describe, expect, test } from "vitest";
import { access, type Bench, local, mac, remote, sorted, standard, vn } from "./dataplane-bench.ts";
import { station, testFrame } from "./wires.ts";

/** Intents that come, change and go under traffic. */
export function changes(bench: Bench): void {
  describe("changes", () => {
    test("M5: a MAC that moves back and forth loses no frame and doubles none", async () => {
      const frames = 2000;
      let sent = false;
      const sending = bench.rig
        .sendMany("p1", testFrame({ from: "0a", to: "0c", tags: "10", text: "hello" }), frames)
        .finally(() => {
          sent = true;
        });
      let moves = 0;
      for (; !sent; moves++) {
        await bench.dataplane.ensure([
          mac(100, "0c", moves % 2 ? remote(bench.rig.a) : local("p2", 20)),
        ]);
        await new Promise(setImmediate);
      }
      await sending;
      const seen = await bench.rig.seen();
      const times = (what: string) => seen.filter((line) => line.startsWith(what)).length;
      expect(moves).toBeGreaterThan(10);
      expect(seen.length).toBe(frames);
      expect(times("p2: ") + times(bench.tunnelTo(bench.rig.a, 100, ""))).toBe(frames);
      expect(times("p2: ")).toBeGreaterThan(0);
      expect(await bench.dropped()).toEqual({});
    });

    test("A10: a flood list that is replaced all the time reaches who stays on it, once", async () => {
      const frames = 1000;
      let sent = false;
      const sending = bench.rig
        .sendMany("p1", testFrame({ from: "0a", to: "ff", tags: "10", text: "hello" }), frames)
        .finally(() => {
          sent = true;
        });
      let changes = 0;
      for (; !sent; changes++) {
        const more = changes % 2 ? [remote(bench.rig.a)] : [local("p1", 12)];
        await bench.dataplane.ensure([vn(100, [...more, local("p2", 20), remote(bench.rig.b)])]);
        await new Promise(setImmediate);
      }
      await sending;
      const seen = await bench.rig.seen();
      const times = (what: string) => seen.filter((line) => line.startsWith(what)).length;
      expect(changes).toBeGreaterThan(10);
      expect(times("p2: ")).toBe(frames);
      expect(times(bench.tunnelTo(bench.rig.b, 100, ""))).toBe(frames);
      const either = times("p1: ") + times(bench.tunnelTo(bench.rig.a, 100, ""));
      if (!bench.without.has("flood lists replaced at once")) expect(either).toBe(frames);
    });

    test("what is asked for again is so still", async () => {
      await bench.dataplane.ensure(standard(bench.rig));
      await bench.dataplane.ensure(standard(bench.rig));
      bench.at("p1", "10", "0a", "0c");
      bench.at("p1", "10", "0a", "0b");
      expect(await bench.rig.seen()).toEqual(
        ["p2: 0a → 0b [20] hello", bench.tunnelTo(bench.rig.a, 100, "0a → 0c [] hello")].sort(),
      );
    });

    test("H2: an access that is removed lets nothing in any more", async () => {
      await bench.dataplane.remove([access("p1", 10, 100), access("p1", 10, 100)]);
      bench.at("p1", "10", "0a", "0b");
      expect(await bench.rig.seen()).toEqual([]);
      expect(await bench.dropped()).toEqual(bench.told({ "no-such-tag": 1 }));
    });

    test("A7: a VTEP with no MAC and no flooding left is a stranger", async () => {
      await bench.dataplane.remove([mac(200, "0c", remote(bench.rig.a))]);
      bench.over(bench.rig.a, 200, "0c", "0a"); // on the flood list still
      expect(await bench.rig.seen()).toEqual(["p1: 0c → 0a [20] hello"]);
      await bench.dataplane.ensure([vn(200, [local("p1", 20), local("p3", 10)])]);
      bench.over(bench.rig.a, 200, "0c", "0a");
      expect(await bench.rig.seen()).toEqual([]);
      expect(await bench.dropped()).toEqual(bench.told({ "stranger-vtep": 1 }));
    });

    const isAlone = bench.without.has("encapsulations");
    test.skipIf(isAlone)(
      "A24: a VTEP whose encapsulation becomes another is believed as before",
      async () => {
        const at = { ...remote(bench.rig.a), encapsulation: "nvgre" } as const;
        await bench.dataplane.ensure([
          mac(200, "0c", at),
          vn(200, [local("p1", 20), local("p3", 10), at]),
        ]);
        bench.over(bench.rig.a, 200, "0c", "0a");
        expect(await bench.rig.seen()).toEqual(["p1: 0c → 0a [20] hello"]);
        expect(await bench.dropped()).toEqual({});
      },
    );

    test("a VTEP that only a MAC is behind is believed", async () => {
      await bench.dataplane.ensure([mac(200, "0f", remote(bench.rig.b))]);
      bench.over(bench.rig.b, 200, "0f", "0a");
      expect(await bench.rig.seen()).toEqual(["p1: 0f → 0a [20] hello"]);
    });

    test("H2, A7: a VN that is removed is an unknown VNI", async () => {
      const gone = standard(bench.rig).filter((i) => i.vni === 200);
      await bench.dataplane.remove(gone);
      bench.over(bench.rig.a, 200, "0c", "ff");
      expect(await bench.rig.seen()).toEqual([]);
      expect(await bench.dropped()).toEqual(bench.told({ "unknown-vni": 1 }));
      expect((await bench.dataplane.counters()).vns.map(({ vni }) => vni)).toEqual([100]);
    });

    test("V10: all that is applied can be read back", async () => {
      expect(sorted(await bench.dataplane.applied())).toEqual(sorted(standard(bench.rig)));
      await bench.dataplane.remove([mac(100, "0d", remote(bench.rig.b)), access("p3", 10, 200)]);
      const needsAccess = bench.without.has("places without an access");
      const isKept = (at: Place) => !needsAccess || at.is === "remote" || at.port !== "p3";
      const left = standard(bench.rig).flatMap((intent): Intent[] => {
        if (intent.is === "access") return intent.port === "p3" ? [] : [intent];
        if (intent.is === "vn") return [{ ...intent, flood: intent.flood.filter(isKept) }];
        return intent.mac !== station("0d") && isKept(intent.at) ? [intent] : [];
      });
      expect(sorted(await bench.dataplane.applied())).toEqual(sorted(left));
    });

    test("prune leaves what is wanted and removes the rest", async () => {
      const wanted = standard(bench.rig).filter((i) => i.vni === 100);
      await bench.dataplane.prune(wanted);
      expect(sorted(await bench.dataplane.applied())).toEqual(sorted(wanted));
      await bench.dataplane.prune([]);
      expect(await bench.dataplane.applied()).toEqual([]);
    });

    test("a VTEP that cannot be reached is named, the rest is applied", async () => {
      const bad = mac(100, "1a", remote(bench.rig.vtep));
      const good = mac(100, "1b", remote(bench.rig.a));
      await expect(bench.dataplane.ensure([bad, good])).rejects.toMatchObject({
        name: "DataplaneError",
        failed: [{ intent: bad }],
      });
      bench.at("p1", "10", "0a", "1b");
      expect(await bench.rig.seen()).toEqual([
        bench.tunnelTo(bench.rig.a, 100, "0a → 1b [] hello"),
      ]);
    });
  });
}

/** Ports that come and go. */
export function ports(bench: Bench): void {
  describe("ports", () => {
    test("a port that is deleted and made again carries on", async () => {
      bench.rig.deletePort("p2");
      await bench.dataplane.portDown("p2");
      bench.at("p1", "10", "0a", "0b");
      bench.at("p1", "12", "0e", "ff");
      expect(await bench.rig.seen()).toEqual(
        [
          "p1: 0e → ff [10] hello",
          bench.tunnelTo(bench.rig.a, 100, "0e → ff [] hello"),
          bench.tunnelTo(bench.rig.b, 100, "0e → ff [] hello"),
        ].sort(),
      );
      expect(await bench.dropped()).toEqual(bench.told({ "port-absent": 1 }));
      bench.rig.addPort("p2");
      await bench.dataplane.portUp("p2");
      bench.at("p1", "10", "0a", "0b");
      bench.at("p2", "20", "0b", "ff");
      expect(await bench.rig.seen()).toEqual(
        [
          "p1: 0b → ff [10] hello",
          "p1: 0b → ff [12] hello",
          "p2: 0a → 0b [20] hello",
          bench.tunnelTo(bench.rig.a, 100, "0b → ff [] hello"),
          bench.tunnelTo(bench.rig.b, 100, "0b → ff [] hello"),
        ].sort(),
      );
    });

    test("a port that is made anew unnoticed is found by the next portUp", async () => {
      bench.rig.deletePort("p2");
      bench.rig.addPort("p2");
      await bench.dataplane.portUp("p2");
      bench.at("p2", "20", "0b", "0a");
      bench.at("p1", "10", "0a", "0b");
      expect(await bench.rig.seen()).toEqual(["p1: 0b → 0a [10] hello", "p2: 0a → 0b [20] hello"]);
      expect(sorted(await bench.dataplane.applied())).toEqual(sorted(standard(bench.rig)));
    });

    test("intents for a port that is absent wait for it", async () => {
      await bench.dataplane.portDown("p3");
      await bench.dataplane.portUp("p9");
      await bench.dataplane.ensure([access("p3", 30, 100), mac(100, "1c", local("p3", 30))]);
      expect(await bench.dataplane.applied()).not.toContainEqual(access("p3", 30, 100));
      await bench.dataplane.portUp("p3");
      expect(await bench.dataplane.applied()).toContainEqual(access("p3", 30, 100));
      bench.at("p3", "30", "1c", "0a");
      bench.at("p1", "10", "0a", "1c");
      expect(await bench.rig.seen()).toEqual(["p1: 1c → 0a [10] hello", "p3: 0a → 1c [30] hello"]);
    });

    test("a port that is down forwards nothing", async () => {
      await bench.dataplane.portDown("p1");
      bench.at("p1", "10", "0a", "0b");
      bench.over(bench.rig.a, 100, "0c", "0a");
      expect(await bench.rig.seen()).toEqual([]);
      await bench.dataplane.portDown("p1");
    });
  });
}
