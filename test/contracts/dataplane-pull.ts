import {
  arpOctets,
  concat,
  EtherType,
  frameOctets,
  IpAddress,
  ipOctets,
  Mac,
  ndOctets,
  uint,
  Vid,
  Vni,
} from "@nve/protocol-spec";
import type { Intent, Sample } from "@nve/switch-agent/nve";
import { wantedIn } from "@nve/switch-agent/pull/wanted";
import { describe, expect, test, vi } from "vitest";
import { type Bench, local, remote } from "./dataplane-bench.ts";
import { station, testFrame } from "./wires.ts";

/** What is shown of a VN in pull (A18). */
export function pulling(bench: Bench): void {
  describe("pull", () => {
    let wanted: Sample[] = [];

    /** VN 100 is in pull, VN 200 is not. */
    async function listen(floodUnknown = false): Promise<void> {
      wanted = [];
      const places = [local("p1", 10), local("p1", 12), local("p2", 20), remote(bench.rig.a)];
      const whole: Intent = { is: "vn", vni: Vni(100), flood: places, floodUnknown };
      await bench.dataplane.ensure([{ ...whole, askUnknown: true }]);
      bench.dataplane.onWanted((samples) => wanted.push(...samples));
    }
    const shown = () =>
      wanted
        .splice(0)
        .map(({ vni, at, octets }) => `${vni} ${at?.port} ${Object.values(wantedIn(octets) ?? {})}`)
        .sort();

    test("A18: for whom a member's frame is, if nobody knows him, is shown once, and the frame dropped", async () => {
      await listen();
      for (const from of ["0a", "0a", "0e"])
        bench.at("p1", from === "0a" ? "10" : "12", from, "99");
      bench.at("p1", "10", "0a", "0c"); // known
      bench.at("p1", "20", "0a", "98"); // not in pull
      bench.over(bench.rig.a, 100, "0c", "97"); // from the overlay
      expect(await bench.rig.seen()).toHaveLength(1);
      await vi.waitFor(() => expect(wanted.length).toBeGreaterThanOrEqual(2));
      expect(shown()).toEqual([`100 p1 ${station("99")}`, `100 p1 ${station("99")}`]); // of two tags
      expect(await bench.dropped()).toMatchObject({ "unknown-mac": 5 });
    });

    test("A18: what is unknown may be flooded until it is known, and is shown all the same", async () => {
      await listen(true);
      bench.at("p1", "10", "0a", "99");
      expect(await bench.rig.seen()).toHaveLength(3);
      await vi.waitFor(() => expect(shown()).toEqual([`100 p1 ${station("99")}`]));
      expect(await bench.dropped()).not.toHaveProperty("unknown-mac");
    });

    test("A18: ARP and neighbour discovery show whose address is asked for, not who is told", async () => {
      await listen();
      bench.rig.send("p1", arp("request", "10.0.0.7"));
      bench.rig.send("p1", arp("request", "10.0.0.7"));
      bench.rig.send("p1", arp("reply", "10.0.0.8"));
      bench.rig.send("p1", solicitation("fd00::7"));
      bench.at("p1", "10", "0a", "ff");
      await vi.waitFor(() => expect(wanted.length).toBeGreaterThanOrEqual(2));
      expect(shown()).toEqual(["100 p1 10.0.0.7", "100 p1 fd00::7"]);
    });

    test("A18: it is known when a MAC behind the overlay was spoken to last", async () => {
      await listen();
      const unused = () => bench.dataplane.unusedMs(Vni(100), station("0c"));
      expect(unused()).toBeUndefined();
      bench.at("p1", "10", "0a", "0c");
      await bench.rig.seen();
      expect(unused()).toBeLessThan(1000);
      expect(bench.dataplane.unusedMs(Vni(100), station("0d"))).toBeUndefined();
    });

    test("V10: a flood of unknown MACs is shown in part, and what is too much is counted", async () => {
      await listen();
      for (let n = 0; n < 200; n++)
        bench.rig.send("p1", testFrame({ from: "0a", to: macText(n), tags: "10", text: "hello" }));
      await bench.rig.seen();
      await vi.waitFor(() => expect(wanted.length).toBeGreaterThanOrEqual(32));
      const { drops } = await bench.dataplane.counters();
      expect(wanted.length + (drops["pull-overrun"] ?? 0)).toBe(200);
      expect(drops["pull-overrun"]).toBeGreaterThan(0);
    });

    test("a VN that is in pull no more shows nothing", async () => {
      await listen();
      await bench.dataplane.ensure([
        { is: "vn", vni: Vni(100), flood: [local("p1", 10)], floodUnknown: false },
      ]);
      bench.at("p1", "10", "0a", "99");
      await bench.rig.seen();
      expect(wanted).toEqual([]);
      expect(
        (await bench.dataplane.applied()).find(({ is, vni }) => is === "vn" && vni === 100),
      ).not.toHaveProperty("askUnknown");
    });
  });
}

const macText = (n: number): string => `02:00:00:00:99:${n.toString(16).padStart(2, "0")}`;
const tag = { vid: Vid(10), pcp: 0, dei: false };

const arp = (op: "request" | "reply", target: string): Uint8Array =>
  frameOctets({
    destination: station("ff"),
    source: station("0a"),
    tag,
    etherType: EtherType.arp,
    payload: concat(
      arpOctets({
        op,
        sender: { mac: station("0a"), ip: IpAddress("10.0.0.1") },
        target: { mac: Mac("00:00:00:00:00:00"), ip: IpAddress(target) },
      }),
      new Uint8Array(18),
    ),
  });

function solicitation(target: string): Uint8Array {
  const body = ndOctets({
    is: "solicitation",
    target: IpAddress(target),
    solicited: false,
    override: false,
    linkLayer: station("0a"),
  });
  return frameOctets({
    destination: Mac("33:33:ff:00:00:07"),
    source: station("0a"),
    tag,
    etherType: EtherType.ipv6,
    payload: concat(
      uint(4, 0x60000000),
      uint(2, body.length),
      Uint8Array.of(58, 255),
      concat(ipOctets("fd00::1"), ipOctets("ff02::1:ff00:7")),
      body,
    ),
  });
}
