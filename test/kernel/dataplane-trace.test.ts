import { decode, EtherType, IpPrefix, readFrame, Uuid, Vni } from "@nve/protocol-spec";
import { frameOf } from "@nve/switch-agent/cli/trace-frame";
import type { Dataplane } from "@nve/switch-agent/dataplane/dataplane";
import type { Trace, TraceQuestion } from "@nve/switch-agent/dataplane/trace";
import { etherTypeOf, untag } from "@nve/switch-agent/dataplane/userspace/parse";
import type { AclRule, Intent } from "@nve/switch-agent/nve";
import fc from "fast-check";
import { afterAll, afterEach, beforeAll, describe, expect, test } from "vitest";
import { access, local, mac, remote, vn } from "../contracts/dataplane-bench.ts";
import { readTunnel } from "../contracts/tunnels.ts";
import { station, testFrame } from "../contracts/wires.ts";
import { runSeed } from "../support/seed.ts";
import { type Arrival, arrivals } from "./dataplane-arrivals.ts";
import { intentsOf } from "./dataplane-cases.ts";
import { EbpfRig } from "./dataplane-rig.ts";

/** A failing run is repeated with the seed that it printed. */
const seed = Number(process.env["SEED"] ?? runSeed);
const runs = Number(process.env["RUNS"] ?? 40);

const names = { vn: (vni: Vni) => `VN ${vni - 90} (red)` };
const vnic = Uuid("66571c6d-f315-4e20-ac2f-1c85d8413f03");

/** In words, as a person reads it. */
const story = ({ steps, verdict }: Trace): string[] => [
  ...steps.map(({ at, says }) => `${at}: ${says}`),
  verdict,
];

describe("what would become of a frame, told from the kernel's maps", () => {
  let rig: EbpfRig;
  let dataplane: Dataplane;
  beforeAll(() => {
    rig = new EbpfRig("clsact", 4, "vxlan");
    rig.encapsulations = ["vxlan", "nvgre", "mpls-over-gre"];
  });
  afterAll(() => rig?.close());
  afterEach(() => dataplane?.close());

  const begin = async (...intents: Intent[]): Promise<void> => {
    dataplane = await rig.open();
    for (const port of ["p1", "p2", "p3"]) await dataplane.portUp(port);
    await dataplane.ensure(intents);
  };
  const ask = (question: TraceQuestion): Trace => {
    const trace = dataplane.trace?.(question, names);
    if (trace === undefined) throw new Error("the driver has no trace");
    return trace;
  };
  const tcp = (from: string, to: string, dstPort: number, length = 60): Uint8Array =>
    frameOf({
      ...{ from: station(from), to: station(to), proto: 6, dstPort, length },
      ...{ srcIp: IpPrefix("10.0.0.1") as never, dstIp: IpPrefix("10.0.0.2") as never },
    });
  const at = (port: string, tag: number, frame: Uint8Array): TraceQuestion => ({
    ...{ from: "port", port, tag, frame },
  });

  const acl: AclRule[] = [
    { action: "allow", direction: "both", etherType: 0x0806 },
    { action: "deny", direction: "from-vnic", protocol: 6, destinationPorts: [25, 25] },
  ];
  const checked = { checkSource: true, checkIps: true } as const;
  const world = (): Intent[] => [
    {
      ...vn(100, [local("p1", 10), local("p2", 20), remote(rig.a)]),
      answer: true,
      acl,
      qos: { dscp: 10, policeKbps: 8000 },
    } as Intent,
    access("p1", 10, 100, checked),
    access("p2", 20, 100),
    { ...mac(100, "0a", local("p1", 10)), ips: [IpPrefix("10.0.0.1")], vnic },
    mac(100, "0b", local("p2", 20)),
    { ...mac(100, "0c", remote(rig.a)), ips: [IpPrefix("10.0.0.3")] },
  ];

  test("a frame to another NVE, with all decisions and the outer headers", async () => {
    await begin(...world());
    expect(story(ask(at("p1", 10, tcp("0a", "0c", 80))))).toEqual([
      "frame: 02:00:00:00:00:0a to 02:00:00:00:00:0c, IPv4 10.0.0.1 to 10.0.0.2, tcp 49152 to 80, 60 octets, at p1 with tag 10",
      "access: p1, tag 10: VN 10 (red), VNI 100",
      `source: 02:00:00:00:00:0a is there: VNIC ${vnic}`,
      "source-ip: what it says of its IP is so",
      "acl: from-vnic: none of 2 rules matches, so it passes",
      "acl: to-vnic: none of 2 rules matches, so it passes",
      "police: its VNIC may send 8000 kbit/s: 100000 octets are left now",
      "dscp: its DSCP becomes 10",
      "destination: 02:00:00:00:00:0c is behind 192.0.2.2",
      "encapsulation: vxlan, VNI 100, 192.0.2.1 to 192.0.2.2, DSCP 10, ECN 0, TTL 64, 96 octets, by hand out of ul to 02:ee:00:00:00:02",
      "forwarded",
    ]);
  });

  test("what drops a frame: the ACL's rule, a spoofed IP, an unknown source, a tag that is not lent", async () => {
    await begin(...world());
    const last = (question: TraceQuestion): string[] => story(ask(question)).slice(-3);
    expect(last(at("p1", 10, tcp("0a", "0c", 25)))).toEqual([
      "acl: from-vnic: rule 2 of 2 matches: deny from-vnic protocol 6 to any port 25",
      "dropped: the VN's profile denies it",
      "dropped",
    ]);
    const spoofed = frameOf({
      from: station("0a"),
      to: station("0c"),
      srcIp: IpPrefix("10.0.0.7") as never,
      dstIp: IpPrefix("10.0.0.3") as never,
    });
    expect(ask(at("p1", 10, spoofed))).toMatchObject({ verdict: "dropped", reason: "spoofed-ip" });
    expect(last(at("p1", 10, tcp("77", "0c", 80)))).toEqual([
      "source: 02:00:00:00:00:77 is not known to be there",
      "dropped: this access takes frames only of MACs that are known to be there",
      "dropped",
    ]);
    expect(last(at("p1", 11, tcp("0a", "0c", 80)))[1]).toBe("dropped: tag 11 is not lent on p1");
    expect(ask(at("p2", 20, tcp("0b", "99", 80)))).toMatchObject({ reason: "unknown-mac" });
    expect(ask({ from: "port", port: "p2", frame: tcp("0b", "0c", 80) })).toMatchObject({
      reason: "untagged",
    });
  });

  test("ARP that is answered, a flood with its copies, and frames from the overlay", async () => {
    await begin(...world());
    const arp = frameOf({
      from: station("0a"),
      etherType: 0x0806,
      srcIp: IpPrefix("10.0.0.1") as never,
      dstIp: IpPrefix("10.0.0.3") as never,
    });
    expect(story(ask(at("p1", 10, arp))).slice(-2)).toEqual([
      "answer: 10.0.0.3 is 02:00:00:00:00:0c: answered here, and goes no further",
      "answered",
    ]);
    const flooded = ask(at("p2", 20, testFrame({ from: "0b", to: "ff", tags: "", text: "hello" })));
    expect(flooded).toMatchObject({
      verdict: "flooded",
      outputs: [
        { to: "port", port: "p1", tag: 10 },
        { to: "nve", vtep: rig.a, vni: 100, encapsulation: "vxlan" },
      ],
    });
    const overlay = (vtep = rig.a, vni = 100) =>
      ask({ from: "overlay", vtep, vni: Vni(vni), frame: tcp("0c", "0a", 80) });
    expect(overlay()).toMatchObject({ verdict: "forwarded", outputs: [{ port: "p1", tag: 10 }] });
    expect(overlay(rig.stranger)).toMatchObject({ reason: "stranger-vtep" });
    expect(overlay(rig.a, 101)).toMatchObject({ reason: "unknown-vni" });
  });

  test("a packet that is too long, and a bucket that is spent", async () => {
    await begin(...world());
    const long = ask(at("p2", 20, tcp("0b", "0c", 80, 1600)));
    expect(long).toMatchObject({ verdict: "told", reason: "too-big-told" });
    expect(story(long)).toContain(
      "too-big: its packet has 1586 octets, and 1550 is what fits: its sender is told",
    );
    await dataplane.ensure([
      { ...vn(100, [remote(rig.a)]), qos: { policeKbps: 8, burstOctets: 1600 } } as Intent,
    ]);
    const question = at("p1", 10, tcp("0a", "0c", 80, 1500));
    expect(ask(question).verdict).toBe("forwarded");
    for (let n = 0; n < 2; n++)
      rig.send("p1", testFrame({ from: "0a", to: "0c", tags: "10", text: "x".repeat(1500) }));
    await rig.received("ul");
    expect(ask(question)).toMatchObject({ verdict: "dropped", reason: "policed" });
  });

  test("nothing is counted, shown or sent by it, and a port that is not there is told", async () => {
    await begin(...world());
    const before = await dataplane.counters();
    ask(at("p1", 10, tcp("0a", "0c", 25)));
    ask(at("p1", 10, tcp("0a", "0b", 80)));
    expect(await dataplane.counters()).toEqual(before);
    expect(await rig.received("p2")).toEqual([]);
    expect(() => ask(at("swp9", 10, tcp("0a", "0c", 25)))).toThrow("no access port swp9 is there");
  });

  const rule: fc.Arbitrary<AclRule> = fc.record(
    {
      action: fc.constantFrom("allow", "deny"),
      direction: fc.constantFrom("both", "from-vnic", "to-vnic"),
      etherType: fc.constantFrom(0x0806, 0x0800, 0x88b5),
      protocol: fc.constantFrom(17, 253, 58),
      source: fc.constantFrom(IpPrefix("10.0.0.0/31"), IpPrefix("fd00::/64")),
    },
    { requiredKeys: ["action", "direction"] },
  );

  test(`it foretells what the programs do with any frame (SEED=${seed})`, async () => {
    await begin();
    const worlds = fc
      .constantFrom("vxlan", "nvgre", "mpls-over-gre")
      .chain((kind) =>
        fc.tuple(
          intentsOf({
            a: { is: "remote", vtep: rig.a },
            b: {
              is: "remote",
              vtep: rig.b,
              ...(kind !== "vxlan" && { encapsulation: kind as "nvgre" }),
            },
          }),
          fc.array(rule, { maxLength: 3 }),
        ),
      )
      .map(([intents, rules]) =>
        intents.map((one) => (one.is === "vn" && rules.length > 0 ? { ...one, acl: rules } : one)),
      );
    await fc.assert(
      fc.asyncProperty(worlds, arrivals, async (intents, frames) => {
        await dataplane.prune(intents);
        await dataplane.ensure(intents);
        for (const frame of frames.slice(0, 12)) await foretold(frame);
      }),
      { seed, numRuns: runs, interruptAfterTimeLimit: 25_000, endOnFailure: true },
    );
  }, 60_000);

  async function foretold(arrival: Arrival): Promise<void> {
    const question = questionOf(arrival);
    if (question === undefined) return;
    const before = (await dataplane.counters()).drops;
    const trace = ask(question);
    if (arrival.wire === "ul") {
      const tunnelled = { ...arrival.tunnelled, ds: 0, ttl: 64 };
      rig.tunnel({ ...tunnelled, source: rig[arrival.from], destination: rig.vtep });
    } else {
      rig.send(arrival.wire, arrival.frame);
    }
    const out: string[] = [];
    for (const wire of ["p1", "p2", "p3", "ul"]) {
      out.push(...(await rig.received(wire)).flatMap((frame) => whereTo(wire, frame)));
    }
    const { "glean-overrun": _, "pull-overrun": __, ...after } = (await dataplane.counters()).drops;
    const drops = Object.entries(after).flatMap(([reason, n]) =>
      Array.from({ length: n - (before[reason] ?? 0) }, () => reason),
    );
    expect({ out: out.sort(), drops: drops.sort() }, JSON.stringify(trace)).toEqual(
      expected(trace, isIp(question.frame)),
    );
  }

  function questionOf(arrival: Arrival): TraceQuestion | undefined {
    if (arrival.wire === "ul") {
      const { vni, encapsulation = "vxlan", frame } = arrival.tunnelled;
      return { from: "overlay", vtep: rig[arrival.from], vni: Vni(vni), encapsulation, frame };
    }
    const parsed = untag(arrival.frame);
    if (parsed === undefined || parsed.tag?.type === 0x88a8) return undefined;
    // Of shorter ones with a tag the kernel drops some itself, and counts none.
    if (arrival.frame.length < 20) return undefined;
    const { tag, frame } = parsed;
    return { from: "port", port: arrival.wire, ...(tag && { tag: tag.vid }), frame };
  }
});

/** Copies that are refused are counted, too. */
function expected(
  { steps, reason, outputs }: Trace,
  isIp: boolean,
): { out: string[]; drops: string[] } {
  const copies = steps.flatMap(({ at, facts }) => (at === "copy" ? (facts["reason"] ?? []) : []));
  const out = outputs.map((one) =>
    one.to === "port"
      ? `${one.port} ${one.tag}`
      : `${one.encapsulation} ${one.vni} to ${one.vtep} ${isIp ? one.outer.dscp * 4 + one.outer.ecn : "-"}`,
  );
  return { out: out.sort(), drops: [...copies, ...(reason === undefined ? [] : [reason])].sort() };
}

function whereTo(wire: string, frame: Uint8Array): string[] {
  const parsed = untag(frame);
  if (wire !== "ul") return [`${wire} ${parsed?.tag?.vid ?? 0}`];
  const { etherType, payload } = decode(frame, readFrame);
  if (etherType !== EtherType.ipv4 && etherType !== EtherType.ipv6) return [];
  const tunnel = readTunnel(payload);
  return tunnel === undefined
    ? []
    : [
        `${tunnel.encapsulation} ${tunnel.vni} to ${tunnel.destination} ${isIp(tunnel.frame) ? tunnel.ds : "-"}`,
      ];
}

/** Of others the tunnel device may take octets for a DS field that are none. */
const isIp = (frame: Uint8Array): boolean => [0x0800, 0x86dd].includes(etherTypeOf(frame));
