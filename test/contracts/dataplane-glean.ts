import {
  arpOctets,
  concat,
  type Dhcp,
  decode,
  dhcpOctets,
  EtherType,
  frameOctets,
  IpAddress,
  ipOctets,
  type Mac,
  ndOctets,
  readFrame,
  uint,
  Vid,
  Vni,
} from "@nve/protocol-spec";
import type { LocalPlace, Sample } from "@nve/switch-agent/nve";
import { describe, expect, test, vi } from "vitest";
import { access, type Bench, local, mac } from "./dataplane-bench.ts";
import { station, testFrame } from "./wires.ts";

const zero = station("00");
const broadcast = station("ff");

/** What is shown of an access that gleans (H16). */
export function gleaning(bench: Bench): void {
  describe("gleaning", () => {
    const glean = { glean: true } as const;
    let shown: Sample[] = [];

    /** Listens, with gleaning at p1 tag 10 and at p3 untagged, both of VN 100. */
    async function listen(): Promise<void> {
      shown = [];
      await bench.dataplane.ensure([
        access("p1", 10, 100, glean),
        access("p3", 0, 100, glean),
        mac(100, "0a", local("p1", 10)),
      ]);
      bench.dataplane.onSamples((samples) => shown.push(...samples));
    }

    /** The samples, once as many are there, in words. */
    async function samples(n: number): Promise<string[]> {
      await vi.waitFor(() => expect(shown.length).toBeGreaterThanOrEqual(n), 2000);
      return shown.splice(0).map(words).sort();
    }

    test("H16: a source that the VN does not have there is shown, once, tag and length as they were", async () => {
      await listen();
      bench.at("p1", "10", "71", "0b");
      bench.at("p1", "10", "71", "0b");
      bench.at("p1", "10", "71", "ff");
      bench.at("p3", "", "72", "0b");
      bench.at("p1", "10", "0a", "0b"); // its own place
      bench.at("p1", "12", "73", "0b"); // does not glean
      bench.at("p2", "20", "74", "0b");
      bench.over(bench.rig.a, 100, "75", "0a");
      bench.at("p1", "10", "0b", "0a"); // somebody of p2: news here
      expect(await samples(3)).toEqual(["p1:10 0b → 0a", "p1:10 71 → 0b", "p3:0 72 → 0b"]);
      expect(await bench.dropped()).not.toHaveProperty("glean-overrun");
    });

    test("a frame is shown without its tag, and the first 384 octets of a long one", async () => {
      await listen();
      const text = "x".repeat(1000);
      bench.rig.send("p1", testFrame({ from: "71", to: "0b", tags: "10", text }));
      await vi.waitFor(() => expect(shown).toHaveLength(1));
      expect(shown[0]?.octets).toEqual(
        testFrame({ from: "71", to: "0b", tags: "", text }).subarray(0, 384),
      );
      expect(shown[0]).toMatchObject({ vni: 100, at: local("p1", 10) });
    });

    test("H16: a MAC that is set elsewhere is shown again, and one that is set there no more", async () => {
      await listen();
      bench.at("p1", "10", "71", "0b");
      expect(await samples(1)).toHaveLength(1);
      await bench.dataplane.ensure([mac(100, "71", local("p1", 10))]);
      bench.at("p3", "", "71", "0b"); // moved: at once
      expect(await samples(1)).toEqual(["p3:0 71 → 0b"]);
      await bench.dataplane.ensure([mac(100, "71", local("p3", 0))]);
      await new Promise((resolve) => setTimeout(resolve, 1100)); // the same place is shown once a second
      bench.at("p3", "", "71", "0b");
      bench.at("p1", "10", "71", "0b");
      expect(await samples(1)).toEqual(["p1:10 71 → 0b"]);
    });

    test("H16: ARP and neighbour discovery of those at home are shown, each address once", async () => {
      await listen();
      const say = (ip: string) => {
        bench.rig.send("p1", arp("0a", ip));
        bench.rig.send("p1", arp("0a", ip));
      };
      say("10.0.0.1");
      say("10.0.0.2");
      bench.rig.send("p1", advertisement("0a", "fd00::1"));
      bench.rig.send("p1", advertisement("0a", "fd00::1"));
      bench.rig.send("p2", arp("0b", "10.0.0.3"));
      expect(await samples(3)).toEqual(["p1:10 0a → ff", "p1:10 0a → ff", "p1:10 0a → ff"]);
    });

    test("H16: what a DHCP server says is shown wherever in the VN it is, and nothing else of DHCP", async () => {
      await listen();
      const ack: Dhcp = {
        op: "reply",
        transaction: 7,
        client: station("0a"),
        yourIp: IpAddress("10.0.0.7"),
        message: 5,
        leaseSeconds: 60,
      };
      const frame = (source: string, tags: string) => dhcp(source, "0a", tags, ack, [67, 68]);
      bench.rig.send("p2", frame("0b", "20"));
      bench.rig.tunnel({
        vni: 100,
        source: bench.rig.a,
        destination: bench.rig.vtep,
        frame: frame("0c", ""),
      });
      bench.rig.send("p2", dhcp("0b", "0a", "20", ack, [68, 67]));
      bench.rig.send("p3", dhcp("0b", "0a", "10", ack, [67, 68])); // VN 200
      expect(await samples(2)).toEqual(["overlay 0c → 0a", "p2:20 0b → 0a"]);
    });

    test("what is too much of a port is counted, goes on its way, and costs the other ports nothing", async () => {
      await listen();
      for (let n = 0; n < 100; n++) {
        bench.at("p1", "10", `02:00:00:00:01:${n.toString(16).padStart(2, "0")}`, "0b");
      }
      bench.at("p3", "", "72", "0b");
      expect((await bench.rig.seen()).filter((line) => line.startsWith("p2: "))).toHaveLength(101);
      const [all, { drops }] = [await samples(33), await bench.dataplane.counters()];
      expect(all).toContain("p3:0 72 → 0b");
      expect(all.length + (drops["glean-overrun"] ?? 0)).toBe(101);
      expect(drops["glean-overrun"]).toBeGreaterThan(0);
    });

    test("H17: how long a MAC has been silent at a place is known", async () => {
      await listen();
      const silence = () => bench.dataplane.silentMs(Vni(100), station("0a"), at);
      const at: LocalPlace = { is: "local", port: "p1", vid: Vid(10) };
      expect(silence()).toBeUndefined();
      bench.at("p1", "10", "0a", "0b");
      await bench.rig.seen();
      await vi.waitFor(() => expect(silence()).toBeLessThan(1000));
      expect(silence()).toBeGreaterThanOrEqual(0);
      const elsewhere = { ...at, port: "p2" };
      expect(bench.dataplane.silentMs(Vni(100), station("0a"), elsewhere)).toBeUndefined();
    });

    test("with the last access that gleans, nothing is shown any more", async () => {
      await listen();
      await bench.dataplane.ensure([access("p1", 10, 100)]);
      await bench.dataplane.remove([access("p3", 0, 100)]);
      bench.at("p1", "10", "71", "0b");
      await bench.rig.seen();
      await bench.dataplane.ensure([access("p3", 0, 100, glean)]);
      bench.at("p3", "", "72", "0b");
      expect(await samples(1)).toEqual(["p3:0 72 → 0b"]);
    });

    test("P11: where sources are checked too, one that is not at home is dropped and not shown", async () => {
      await listen();
      await bench.dataplane.ensure([access("p1", 10, 100, { glean: true, checkSource: true })]);
      bench.at("p1", "10", "71", "0b");
      bench.rig.send("p1", arp("0a", "10.0.0.1"));
      expect(await samples(1)).toEqual(["p1:10 0a → ff"]);
      expect(await bench.dropped()).toMatchObject({ "unknown-source": 1 });
    });
  });
}

const last = (octets: Mac): string => (octets === broadcast ? "ff" : octets.slice(-2));

function words({ at, octets }: Sample): string {
  const { source, destination } = decode(octets, readFrame);
  const place = at === undefined ? "overlay" : `${at.port}:${at.vid}`;
  return `${place} ${last(source)} → ${last(destination)}`;
}

const tagged = (tags: string) =>
  tags === "" ? {} : { tag: { pcp: 0, dei: false, vid: Number(tags) } };

function arp(from: string, ip: string): Uint8Array {
  const [sender, target] = [
    { mac: station(from), ip: IpAddress(ip) },
    { mac: zero, ip: IpAddress("10.0.0.254") },
  ];
  return frameOctets({
    destination: broadcast,
    source: station(from),
    ...tagged(from === "0b" ? "20" : "10"),
    etherType: EtherType.arp,
    payload: concat(arpOctets({ op: "request", sender, target }), new Uint8Array(18)),
  });
}

function advertisement(from: string, ip: string): Uint8Array {
  const target = IpAddress(ip);
  const said = { solicited: false, override: true, linkLayer: station(from) };
  const body = ndOctets({ is: "advertisement", target, ...said });
  return frameOctets({
    destination: broadcast,
    source: station(from),
    ...tagged("10"),
    etherType: EtherType.ipv6,
    payload: concat(
      uint(4, 0x60000000),
      uint(2, body.length),
      Uint8Array.of(58, 255),
      concat(ipOctets(ip), ipOctets("ff02::1")),
      body,
    ),
  });
}

/** Over UDP from one port to the other, without checksums. */
function dhcp(
  from: string,
  to: string,
  tags: string,
  message: Dhcp,
  [source, destination]: readonly [number, number],
): Uint8Array {
  const body = dhcpOctets(message);
  const udp = concat(
    concat(uint(2, source), uint(2, destination)),
    concat(uint(2, body.length + 8), uint(2, 0)),
    body,
  );
  const header = concat(uint(2, 0x4500), uint(2, udp.length + 20), uint(4, 0));
  const ends = concat(ipOctets("10.0.0.254"), ipOctets("10.0.0.7"));
  return frameOctets({
    destination: station(to),
    source: station(from),
    ...tagged(tags),
    etherType: EtherType.ipv4,
    payload: concat(header, Uint8Array.of(64, 17, 0, 0), ends, udp),
  });
}
