import { type IpAddress, Vid, Vni } from "@nve/protocol-spec";
import type { Dataplane } from "@nve/switch-agent/dataplane/dataplane";
import type { AccessIntent, Intent, MacIntent, Place } from "@nve/switch-agent/nve";
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from "vitest";
import { type Sent, station, type Tunnelled, testFrame } from "./wires.ts";

/** A switch with access ports p1, p2, p3 and an underlay, and what a dataplane driver does in it. */
export type DataplaneRig = {
  /** Opens the driver; no port is up yet. */
  open(): Promise<Dataplane>;
  /** Sends at the far end of an access port. */
  send(port: string, frame: Uint8Array): void;
  /** The same frame `n` times at once with whatever the caller does; settled when all are sent. */
  sendMany(port: string, frame: Uint8Array, n: number): Promise<void>;
  /** Sends out of the underlay, as another NVE would. */
  tunnel(tunnelled: Tunnelled): void;
  /**
   * What has come out since the last call, when all that was sent has gone through, in order of text:
   * `p2: 0a → 0b [20] hello`, `vxlan 100 to 192.0.2.2: 0a → 0c [] hello`.
   */
  seen(): Promise<string[]>;
  /** Deletes the interface of a port; `addPort` makes it anew. */
  deletePort(port: string): void;
  addPort(port: string): void;
  /** Own VTEP, two others of the underlay, and one that is a member of nothing. */
  vtep: IpAddress;
  a: IpAddress;
  b: IpAddress;
  stranger: IpAddress;
  /** The longest tenant packet (without Ethernet header) that the underlay carries. */
  mtu: number;
  close(): void;
};

const local = (port: string, vid: number): Place => ({ is: "local", port, vid: Vid(vid) });
const remote = (vtep: IpAddress): Place => ({ is: "remote", vtep });
const mac = (vni: number, name: string, at: Place): MacIntent => ({
  is: "mac",
  vni: Vni(vni),
  mac: station(name),
  at,
});
const access = (port: string, vid: number, vni: number): AccessIntent => ({
  is: "access",
  port,
  vid: Vid(vid),
  vni: Vni(vni),
});
const vn = (vni: number, flood: readonly Place[], floodUnknown = false): Intent => ({
  is: "vn",
  vni: Vni(vni),
  flood,
  floodUnknown,
});

/** VN 100 on p1 (two tags) and p2, VN 200 with the same MACs and crossed tags on p1 and p3. */
const standard = ({ a, b }: DataplaneRig): Intent[] => [
  vn(100, [local("p1", 10), local("p1", 12), local("p2", 20), remote(a), remote(b)]),
  vn(200, [local("p1", 20), local("p3", 10), remote(a)]),
  access("p1", 10, 100),
  access("p1", 12, 100),
  access("p2", 20, 100),
  access("p1", 20, 200),
  access("p3", 10, 200),
  mac(100, "0a", local("p1", 10)),
  mac(100, "0b", local("p2", 20)),
  mac(100, "0e", local("p1", 12)),
  mac(100, "0c", remote(a)),
  mac(100, "0d", remote(b)),
  mac(200, "0a", local("p1", 20)),
  mac(200, "0b", local("p3", 10)),
  mac(200, "0c", remote(a)),
];

/** The contract of `Dataplane`: every driver passes it. */
export function dataplaneContract(name: string, make: () => Promise<DataplaneRig>): void {
  describe(name, () => {
    let rig: DataplaneRig;
    let dataplane: Dataplane;

    beforeAll(async () => {
      rig = await make();
    });
    afterAll(() => rig?.close());
    beforeEach(async () => {
      dataplane = await rig.open();
      for (const port of ["p1", "p2", "p3"]) await dataplane.portUp(port);
      await dataplane.ensure(standard(rig));
      await rig.seen();
    });
    afterEach(() => dataplane?.close());

    const at = (port: string, tags: string, from: string, to: string, text = "hello") =>
      rig.send(port, testFrame({ from, to, tags, text } satisfies Sent));
    const over = (source: IpAddress, vni: number, from: string, to: string, tags = "") =>
      rig.tunnel({
        vni,
        source,
        destination: rig.vtep,
        frame: testFrame({ from, to, tags, text: "hello" }),
      });
    const dropped = async () => {
      const { drops } = await dataplane.counters();
      return Object.fromEntries(Object.entries(drops).filter(([, n]) => n > 0));
    };
    const tunnelTo = (vtep: IpAddress, vni: number, what: string) =>
      `vxlan ${vni} to ${vtep}: ${what}`;

    describe("unicast", () => {
      test("A5: to a MAC at another NVE goes to its VTEP, bare, with the VNI", async () => {
        at("p1", "10", "0a", "0c");
        expect(await rig.seen()).toEqual([tunnelTo(rig.a, 100, "0a → 0c [] hello")]);
        expect(await dropped()).toEqual({});
      });

      test("A5: from another NVE goes to the port of its MAC with that port's tag", async () => {
        over(rig.b, 100, "0d", "0b");
        expect(await rig.seen()).toEqual(["p2: 0d → 0b [20] hello"]);
      });

      test("V6, V8: between two ports of a VN changes the tag", async () => {
        at("p1", "10", "0a", "0b");
        at("p2", "20", "0b", "0a");
        expect(await rig.seen()).toEqual(["p1: 0b → 0a [10] hello", "p2: 0a → 0b [20] hello"]);
      });

      test("V8: between two tags of one port changes the tag", async () => {
        at("p1", "10", "0a", "0e");
        expect(await rig.seen()).toEqual(["p1: 0a → 0e [12] hello"]);
      });

      test("does not go back to the port and tag that it came from", async () => {
        at("p1", "10", "0b", "0a");
        expect(await rig.seen()).toEqual([]);
        expect(await dropped()).toEqual({ hairpin: 1 });
      });

      test("from the overlay does not go into the overlay again", async () => {
        over(rig.a, 100, "0c", "0d");
        expect(await rig.seen()).toEqual([]);
        expect(await dropped()).toEqual({ "split-horizon": 1 });
      });

      test("to a MAC that nobody has is dropped and counted", async () => {
        at("p1", "10", "0a", "77");
        over(rig.a, 100, "0c", "77");
        expect(await rig.seen()).toEqual([]);
        expect(await dropped()).toEqual({ "unknown-mac": 2 });
      });

      test("of the longest packet passes, one octet more is dropped and counted, not fragmented", async () => {
        const frame = (length: number) =>
          testFrame({ from: "0a", to: "0c", tags: "10", text: "x".repeat(length) });
        rig.send("p1", frame(rig.mtu));
        rig.send("p1", frame(rig.mtu + 1));
        expect(await rig.seen()).toEqual([tunnelTo(rig.a, 100, `0a → 0c [] ${rig.mtu} octets`)]);
        expect(await dropped()).toEqual({ oversize: 1 });
      });
    });

    describe("flooding", () => {
      test("A2, A10: a broadcast goes to each other member once, tagged as each port has it", async () => {
        at("p1", "10", "0a", "ff");
        expect(await rig.seen()).toEqual(
          [
            "p1: 0a → ff [12] hello",
            "p2: 0a → ff [20] hello",
            tunnelTo(rig.a, 100, "0a → ff [] hello"),
            tunnelTo(rig.b, 100, "0a → ff [] hello"),
          ].sort(),
        );
      });

      test("A2: a multicast goes where broadcast goes", async () => {
        at("p3", "10", "0b", "01:00:5e:01:02:03");
        expect(await rig.seen()).toEqual(
          [
            "p1: 0b → 01:00:5e:01:02:03 [20] hello",
            tunnelTo(rig.a, 200, "0b → 01:00:5e:01:02:03 [] hello"),
          ].sort(),
        );
      });

      test("a broadcast from the overlay goes to the ports only", async () => {
        over(rig.a, 100, "0c", "ff");
        expect(await rig.seen()).toEqual([
          "p1: 0c → ff [10] hello",
          "p1: 0c → ff [12] hello",
          "p2: 0c → ff [20] hello",
        ]);
      });

      test("A6: unknown unicast is flooded in a VN that wants it", async () => {
        await dataplane.ensure([vn(200, [local("p1", 20), local("p3", 10), remote(rig.a)], true)]);
        at("p1", "20", "0a", "77");
        expect(await rig.seen()).toEqual(
          ["p3: 0a → 77 [10] hello", tunnelTo(rig.a, 200, "0a → 77 [] hello")].sort(),
        );
        over(rig.a, 200, "0c", "77");
        expect(await rig.seen()).toEqual(["p1: 0c → 77 [20] hello", "p3: 0c → 77 [10] hello"]);
      });

      test("link-local groups of tenants stay where they are", async () => {
        at("p1", "10", "0a", "01:80:c2:00:00:0e");
        over(rig.a, 100, "0c", "01:80:c2:00:00:00");
        expect(await rig.seen()).toEqual([]);
        expect(await dropped()).toEqual({ "link-local": 2 });
      });

      test("P8: a list that is replaced holds for the next frame", async () => {
        await dataplane.ensure([vn(100, [local("p1", 10), remote(rig.b)])]);
        at("p2", "20", "0b", "ff");
        expect(await rig.seen()).toEqual(
          ["p1: 0b → ff [10] hello", tunnelTo(rig.b, 100, "0b → ff [] hello")].sort(),
        );
      });
    });

    describe("isolation", () => {
      test("H5, P11: the same MACs in two VNs stay apart", async () => {
        at("p1", "20", "0a", "0b");
        at("p1", "20", "0a", "0c");
        over(rig.a, 200, "0c", "0a");
        expect(await rig.seen()).toEqual(
          [
            "p1: 0c → 0a [20] hello",
            "p3: 0a → 0b [10] hello",
            tunnelTo(rig.a, 200, "0a → 0c [] hello"),
          ].sort(),
        );
      });

      test("P11: a tag lent on one port means nothing on another", async () => {
        at("p2", "10", "0b", "0a");
        at("p3", "20", "0b", "ff");
        expect(await rig.seen()).toEqual([]);
        expect(await dropped()).toEqual({ "no-such-tag": 2 });
      });

      test("P11: a second tag, a priority tag and no tag are dropped", async () => {
        at("p1", "10.20", "0a", "0b");
        at("p1", "10.10", "0a", "ff");
        at("p1", "0", "0a", "0b");
        at("p1", "0.10", "0a", "0b");
        at("p1", "", "0a", "0b");
        expect(await rig.seen()).toEqual([]);
        expect(await dropped()).toEqual({ "double-tagged": 2, "priority-tagged": 2, untagged: 1 });
      });

      test("P11: a VNI without members here is dropped", async () => {
        over(rig.a, 300, "0c", "0a");
        over(rig.a, 300, "0c", "ff");
        expect(await rig.seen()).toEqual([]);
        expect(await dropped()).toEqual({ "unknown-vni": 2 });
      });

      test("P11, M10: tunnels from a VTEP that is no member of the VN are dropped", async () => {
        over(rig.stranger, 100, "0c", "0a");
        over(rig.b, 200, "0c", "0a");
        over(rig.b, 200, "0c", "ff");
        expect(await rig.seen()).toEqual([]);
        expect(await dropped()).toEqual({ "stranger-vtep": 3 });
      });

      test("P11: a tag inside a tunnel is dropped (RFC 7348 §6.1)", async () => {
        over(rig.a, 100, "0c", "0a", "20");
        expect(await rig.seen()).toEqual([]);
        expect(await dropped()).toEqual({ "inner-tag": 1 });
      });

      test("untagged control frames are neither forwarded nor dropped", async () => {
        at("p1", "", "0a", "01:80:c2:00:00:00");
        at("p1", "", "0a", "01:80:c2:00:00:0e");
        expect(await rig.seen()).toEqual([]);
        expect(await dropped()).toEqual({});
      });

      test("a group address as source is dropped", async () => {
        at("p1", "10", "ff", "0b");
        expect(await rig.seen()).toEqual([]);
        expect(await dropped()).toEqual({ "bad-source": 1 });
      });
    });

    describe("changes", () => {
      test("M5: a MAC that moves back and forth loses no frame and doubles none", async () => {
        const frames = 2000;
        let sent = false;
        const sending = rig
          .sendMany("p1", testFrame({ from: "0a", to: "0c", tags: "10", text: "hello" }), frames)
          .finally(() => {
            sent = true;
          });
        let moves = 0;
        for (; !sent; moves++) {
          await dataplane.ensure([mac(100, "0c", moves % 2 ? remote(rig.a) : local("p2", 20))]);
          await new Promise(setImmediate);
        }
        await sending;
        const seen = await rig.seen();
        const times = (what: string) => seen.filter((line) => line.startsWith(what)).length;
        expect(moves).toBeGreaterThan(10);
        expect(seen.length).toBe(frames);
        expect(times("p2: ") + times(`vxlan 100 to ${rig.a}: `)).toBe(frames);
        expect(times("p2: ")).toBeGreaterThan(0);
        expect(await dropped()).toEqual({});
      });

      test("A10: a flood list that is replaced all the time reaches who stays on it, once", async () => {
        const frames = 1000;
        let sent = false;
        const sending = rig
          .sendMany("p1", testFrame({ from: "0a", to: "ff", tags: "10", text: "hello" }), frames)
          .finally(() => {
            sent = true;
          });
        let changes = 0;
        for (; !sent; changes++) {
          const more = changes % 2 ? [remote(rig.a)] : [local("p1", 12)];
          await dataplane.ensure([vn(100, [...more, local("p2", 20), remote(rig.b)])]);
          await new Promise(setImmediate);
        }
        await sending;
        const seen = await rig.seen();
        const times = (what: string) => seen.filter((line) => line.startsWith(what)).length;
        expect(changes).toBeGreaterThan(10);
        expect(times("p2: ")).toBe(frames);
        expect(times(`vxlan 100 to ${rig.b}: `)).toBe(frames);
        expect(times("p1: ") + times(`vxlan 100 to ${rig.a}: `)).toBe(frames);
      });

      test("what is asked for again is so still", async () => {
        await dataplane.ensure(standard(rig));
        await dataplane.ensure(standard(rig));
        at("p1", "10", "0a", "0c");
        at("p1", "10", "0a", "0b");
        expect(await rig.seen()).toEqual(
          ["p2: 0a → 0b [20] hello", tunnelTo(rig.a, 100, "0a → 0c [] hello")].sort(),
        );
      });

      test("H2: an access that is removed lets nothing in any more", async () => {
        await dataplane.remove([access("p1", 10, 100), access("p1", 10, 100)]);
        at("p1", "10", "0a", "0b");
        expect(await rig.seen()).toEqual([]);
        expect(await dropped()).toEqual({ "no-such-tag": 1 });
      });

      test("A7: a VTEP with no MAC and no flooding left is a stranger", async () => {
        await dataplane.remove([mac(200, "0c", remote(rig.a))]);
        over(rig.a, 200, "0c", "0a"); // on the flood list still
        expect(await rig.seen()).toEqual(["p1: 0c → 0a [20] hello"]);
        await dataplane.ensure([vn(200, [local("p1", 20), local("p3", 10)])]);
        over(rig.a, 200, "0c", "0a");
        expect(await rig.seen()).toEqual([]);
        expect(await dropped()).toEqual({ "stranger-vtep": 1 });
      });

      test("a VTEP that only a MAC is behind is believed", async () => {
        await dataplane.ensure([mac(200, "0f", remote(rig.b))]);
        over(rig.b, 200, "0f", "0a");
        expect(await rig.seen()).toEqual(["p1: 0f → 0a [20] hello"]);
      });

      test("H2, A7: a VN that is removed is an unknown VNI", async () => {
        const gone = standard(rig).filter((i) => i.vni === 200);
        await dataplane.remove(gone);
        over(rig.a, 200, "0c", "ff");
        expect(await rig.seen()).toEqual([]);
        expect(await dropped()).toEqual({ "unknown-vni": 1 });
        expect((await dataplane.counters()).vns.map(({ vni }) => vni)).toEqual([100]);
      });

      test("V10: all that is applied can be read back", async () => {
        expect(sorted(await dataplane.applied())).toEqual(sorted(standard(rig)));
        await dataplane.remove([mac(100, "0d", remote(rig.b)), access("p3", 10, 200)]);
        const left = standard(rig).filter(
          (i) =>
            !(i.is === "mac" && i.mac === station("0d")) && !(i.is === "access" && i.port === "p3"),
        );
        expect(sorted(await dataplane.applied())).toEqual(sorted(left));
      });

      test("prune leaves what is wanted and removes the rest", async () => {
        const wanted = standard(rig).filter((i) => i.vni === 100);
        await dataplane.prune(wanted);
        expect(sorted(await dataplane.applied())).toEqual(sorted(wanted));
        await dataplane.prune([]);
        expect(await dataplane.applied()).toEqual([]);
      });

      test("a VTEP that cannot be reached is named, the rest is applied", async () => {
        const bad = mac(100, "1a", remote(rig.vtep));
        const good = mac(100, "1b", remote(rig.a));
        await expect(dataplane.ensure([bad, good])).rejects.toMatchObject({
          name: "DataplaneError",
          failed: [{ intent: bad }],
        });
        at("p1", "10", "0a", "1b");
        expect(await rig.seen()).toEqual([tunnelTo(rig.a, 100, "0a → 1b [] hello")]);
      });
    });

    describe("ports", () => {
      test("a port that is deleted and made again carries on", async () => {
        rig.deletePort("p2");
        await dataplane.portDown("p2");
        at("p1", "10", "0a", "0b");
        at("p1", "12", "0e", "ff");
        expect(await rig.seen()).toEqual(
          [
            "p1: 0e → ff [10] hello",
            tunnelTo(rig.a, 100, "0e → ff [] hello"),
            tunnelTo(rig.b, 100, "0e → ff [] hello"),
          ].sort(),
        );
        expect(await dropped()).toEqual({ "port-absent": 1 });
        rig.addPort("p2");
        await dataplane.portUp("p2");
        at("p1", "10", "0a", "0b");
        at("p2", "20", "0b", "ff");
        expect(await rig.seen()).toEqual(
          [
            "p1: 0b → ff [10] hello",
            "p1: 0b → ff [12] hello",
            "p2: 0a → 0b [20] hello",
            tunnelTo(rig.a, 100, "0b → ff [] hello"),
            tunnelTo(rig.b, 100, "0b → ff [] hello"),
          ].sort(),
        );
      });

      test("a port that is made anew unnoticed is found by the next portUp", async () => {
        rig.deletePort("p2");
        rig.addPort("p2");
        await dataplane.portUp("p2");
        at("p2", "20", "0b", "0a");
        at("p1", "10", "0a", "0b");
        expect(await rig.seen()).toEqual(["p1: 0b → 0a [10] hello", "p2: 0a → 0b [20] hello"]);
        expect(sorted(await dataplane.applied())).toEqual(sorted(standard(rig)));
      });

      test("intents for a port that is absent wait for it", async () => {
        await dataplane.portDown("p3");
        await dataplane.portUp("p9");
        await dataplane.ensure([access("p3", 30, 100), mac(100, "1c", local("p3", 30))]);
        expect(await dataplane.applied()).not.toContainEqual(access("p3", 30, 100));
        await dataplane.portUp("p3");
        expect(await dataplane.applied()).toContainEqual(access("p3", 30, 100));
        at("p3", "30", "1c", "0a");
        at("p1", "10", "0a", "1c");
        expect(await rig.seen()).toEqual(["p1: 1c → 0a [10] hello", "p3: 0a → 1c [30] hello"]);
      });

      test("a port that is down forwards nothing", async () => {
        await dataplane.portDown("p1");
        at("p1", "10", "0a", "0b");
        over(rig.a, 100, "0c", "0a");
        expect(await rig.seen()).toEqual([]);
        await dataplane.portDown("p1");
      });
    });

    test("V10: counters tell frames by VN and direction", async () => {
      at("p1", "10", "0a", "0c");
      at("p1", "10", "0a", "0b");
      at("p1", "10", "0a", "ff");
      over(rig.a, 100, "0c", "0a");
      await rig.seen();
      const { vns } = await dataplane.counters();
      expect(vns).toEqual([
        { vni: 100, accessIn: 3, accessOut: 4, overlayIn: 1, overlayOut: 3, flooded: 1 },
        { vni: 200, accessIn: 0, accessOut: 0, overlayIn: 0, overlayOut: 0, flooded: 0 },
      ]);
    });

    test("closed, it forwards nothing and refuses to be asked", async () => {
      await dataplane.close();
      await dataplane.close();
      at("p1", "10", "0a", "0b");
      expect(await rig.seen()).toEqual([]);
      await expect(dataplane.ensure([])).rejects.toThrow("closed");
    });
  });
}

/** An order of intents and of flood lists that says nothing. */
const sorted = (intents: readonly Intent[]): string[] =>
  intents
    .map((intent) =>
      JSON.stringify(
        intent.is === "vn"
          ? { ...intent, flood: intent.flood.map((p) => JSON.stringify(p)).sort() }
          : intent,
      ),
    )
    .sort();
