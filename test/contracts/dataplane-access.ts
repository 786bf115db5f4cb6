import type { AccessRules } from "@nve/switch-agent/nve";
import { beforeEach, describe, expect, test } from "vitest";
import { access, type Bench, local, mac, remote, sorted, standard, vn } from "./dataplane-bench.ts";

/** A8, A11: the frames of a port that have no tag, as a VN's. */
export function untagged(bench: Bench): void {
  describe("untagged access", () => {
    /** VN 300 untagged on p1, which has tagged VNs too, and on p2 and behind a VTEP; VN 100 untagged on p3. */
    beforeEach(() =>
      bench.dataplane.ensure([
        vn(100, [local("p1", 10), local("p2", 20), local("p3", 0), remote(bench.rig.b)]),
        vn(300, [local("p1", 0), local("p2", 30), remote(bench.rig.a)]),
        access("p1", 0, 300),
        access("p2", 30, 300),
        access("p3", 0, 100),
        mac(300, "1a", local("p1", 0)),
        mac(300, "1b", local("p2", 30)),
        mac(300, "1c", remote(bench.rig.a)),
        mac(100, "1d", local("p3", 0)),
      ]),
    );

    test("A11: frames without a tag belong to the VN, and come out without a tag", async () => {
      bench.at("p1", "", "1a", "1b");
      bench.at("p2", "30", "1b", "1a");
      bench.at("p1", "", "1a", "1c");
      bench.over(bench.rig.a, 300, "1c", "1a");
      expect(await bench.rig.seen()).toEqual(
        [
          "p1: 1b → 1a [] hello",
          "p1: 1c → 1a [] hello",
          "p2: 1a → 1b [30] hello",
          bench.tunnelTo(bench.rig.a, 300, "1a → 1c [] hello"),
        ].sort(),
      );
      expect(await bench.dropped()).toEqual({});
    });

    test("A11: a port has an untagged VN and tagged ones at once, and each stays what it is", async () => {
      bench.at("p1", "10", "0a", "0b");
      bench.at("p1", "20", "0a", "0b");
      bench.at("p1", "", "1a", "0b"); // of VN 100, nobody in 300 has it
      bench.at("p1", "10", "0a", "1b"); // of VN 300
      bench.at("p1", "", "1a", "1b");
      expect(await bench.rig.seen()).toEqual([
        "p2: 0a → 0b [20] hello",
        "p2: 1a → 1b [30] hello",
        "p3: 0a → 0b [10] hello",
      ]);
      expect(await bench.dropped()).toEqual(bench.told({ "unknown-mac": 2 }));
    });

    test("A10: a broadcast goes to tagged and untagged places, each in its form, whichever comes first", async () => {
      bench.at("p1", "10", "0a", "ff");
      bench.at("p3", "", "1d", "ff");
      bench.over(bench.rig.b, 100, "0d", "ff");
      expect(await bench.rig.seen()).toEqual(
        [
          "p1: 0d → ff [10] hello",
          "p1: 1d → ff [10] hello",
          "p2: 0a → ff [20] hello",
          "p2: 0d → ff [20] hello",
          "p2: 1d → ff [20] hello",
          "p3: 0a → ff [] hello",
          "p3: 0d → ff [] hello",
          bench.tunnelTo(bench.rig.b, 100, "0a → ff [] hello"),
          bench.tunnelTo(bench.rig.b, 100, "1d → ff [] hello"),
        ].sort(),
      );
    });

    test("a priority tag is no tag (802.1Q §9.6); a tag behind it is one too many", async () => {
      bench.at("p1", "0", "1a", "1b");
      bench.at("p1", "0.10", "1a", "1b");
      bench.at("p1", "0.0", "1a", "1b");
      expect(await bench.rig.seen()).toEqual(["p2: 1a → 1b [30] hello"]);
      expect(await bench.dropped()).toEqual(bench.told({ "double-tagged": 2 }));
    });

    test("control frames of the link are not forwarded", async () => {
      bench.at("p1", "", "1a", "01:80:c2:00:00:00");
      bench.at("p1", "", "1a", "01:80:c2:00:00:0e");
      expect(await bench.dropped()).toEqual({});
      bench.at("p1", "0", "1a", "01:80:c2:00:00:03");
      expect(await bench.rig.seen()).toEqual([]);
      expect(await bench.dropped()).toEqual(bench.told({ "link-local": 1 }));
    });

    test("H2: removed, it lets no untagged frame in, and the tagged VNs stay", async () => {
      await bench.dataplane.remove([access("p1", 0, 300)]);
      bench.at("p1", "", "1a", "1b");
      bench.at("p1", "10", "0a", "0b");
      expect(await bench.rig.seen()).toEqual(["p2: 0a → 0b [20] hello"]);
      expect(await bench.dropped()).toEqual(bench.told({ untagged: 1 }));
    });

    test("a port that is deleted and made again has its untagged VN again", async () => {
      bench.rig.deletePort("p1");
      await bench.dataplane.portDown("p1");
      bench.rig.addPort("p1");
      await bench.dataplane.portUp("p1");
      bench.at("p1", "", "1a", "1b");
      bench.at("p2", "30", "1b", "1a");
      expect(await bench.rig.seen()).toEqual(["p1: 1b → 1a [] hello", "p2: 1a → 1b [30] hello"]);
    });
  });
}

/** Frames from a MAC that is not known to be where they come in. */
export function sourceCheck(bench: Bench): void {
  describe("source check", () => {
    const strict = () =>
      bench.dataplane.ensure([
        access("p1", 10, 100, { checkSource: true }),
        access("p1", 0, 200, { checkSource: true }),
        mac(200, "2a", local("p1", 0)),
      ]);

    test("P11: a source that the VN does not have at this place is dropped and counted", async () => {
      await strict();
      bench.at("p1", "10", "0a", "0b"); // its own
      bench.at("p1", "", "2a", "0b"); // its own, in VN 200
      bench.at("p1", "10", "77", "0b"); // nobody's
      bench.at("p1", "10", "77", "ff");
      bench.at("p1", "10", "0b", "0c"); // at another port
      bench.at("p1", "10", "0e", "0b"); // at another tag of this port
      bench.at("p1", "10", "0c", "0b"); // behind a VTEP
      bench.at("p1", "10", "2a", "0b"); // of another VN
      bench.at("p1", "", "0a", "0b");
      expect(await bench.rig.seen()).toEqual(["p2: 0a → 0b [20] hello", "p3: 2a → 0b [10] hello"]);
      expect(await bench.dropped()).toEqual(bench.told({ "unknown-source": 7 }));
    });

    test("it is checked where it was asked for, and nowhere else", async () => {
      await strict();
      bench.at("p1", "12", "77", "0b");
      bench.at("p2", "20", "77", "0a");
      expect(await bench.rig.seen()).toEqual(["p1: 77 → 0a [10] hello", "p2: 77 → 0b [20] hello"]);
      await bench.dataplane.ensure([access("p1", 10, 100)]);
      bench.at("p1", "10", "77", "0b");
      expect(await bench.rig.seen()).toEqual(["p2: 77 → 0b [20] hello"]);
      expect(await bench.dropped()).toEqual({});
    });

    test("V10: the rules of an access are read back, also after its port was made again", async () => {
      const glean: AccessRules = bench.without.has("gleaning") ? {} : { glean: true };
      const rules = { checkSource: true, ...glean } as const;
      const more = [access("p1", 0, 200, rules), access("p3", 30, 100, glean)];
      await bench.dataplane.ensure(more);
      const all = sorted([...standard(bench.rig), ...more]);
      expect(sorted(await bench.dataplane.applied())).toEqual(all);
      await bench.dataplane.portDown("p1");
      await bench.dataplane.portUp("p1");
      expect(sorted(await bench.dataplane.applied())).toEqual(all);
      await bench.dataplane.ensure([access("p1", 0, 200), access("p3", 30, 100)]);
      expect(await bench.dataplane.applied()).toContainEqual(access("p1", 0, 200));
    });
  });
}
