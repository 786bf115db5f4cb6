import { decode, EtherType, IpAddress, isIpv6, readFrame } from "@nve/protocol-spec";
import type { Dataplane, DataplaneCounters } from "@nve/switch-agent/dataplane/dataplane";
import type { Encapsulation } from "@nve/switch-agent/nve";
import fc from "fast-check";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { hasRightChecksum, readTunnel } from "../contracts/tunnels.ts";
import { runSeed } from "../support/seed.ts";
import { type Arrival, changed } from "./dataplane-arrivals.ts";
import { type Round, roundsOf } from "./dataplane-cases.ts";
import { fillInChecksums } from "./dataplane-checksums.ts";
import { EbpfRig, type NamespaceRig, UserspaceRig, vteps } from "./dataplane-rig.ts";

const runs = Number(process.env["RUNS"] ?? 150);
/** The same each time, and others each time. A failing run is repeated with the seed that it printed. */
const seeds = process.env["SEED"]?.split(",").map(Number) ?? [1, runSeed];

const limitMs = Number(process.env["LIMIT_MS"] ?? 9000);
const ports = ["p1", "p2", "p3"] as const;
const wires = [...ports, "ul"] as const;

/** What came out, by wire, and what was counted. */
type Outcome = { out: Record<string, string[]>; counts: Record<string, number> };

/** A driver in its own switch. All that is done with it is done in its namespace. */
class Side {
  readonly rig: NamespaceRig;
  dataplane: Dataplane | undefined;
  /** A round was not gone through to its end. */
  #isDirty = false;

  constructor(rig: NamespaceRig) {
    this.rig = rig;
    this.rig.encapsulations = ["vxlan", "nvgre", "mpls-over-gre"];
    fillInChecksums(rig.tor, "ul");
  }

  async open(): Promise<void> {
    this.rig.tor.enter();
    this.dataplane = await this.rig.open();
  }

  async run({ intents, absent, frames }: Round): Promise<Outcome> {
    const { rig, dataplane } = this;
    if (dataplane === undefined) throw new Error("not open");
    rig.tor.enter();
    for (const port of ports) {
      if (absent.includes(port)) await dataplane.portDown(port);
      else await dataplane.portUp(port);
    }
    await dataplane.prune(intents);
    await dataplane.ensure(intents);
    if (this.#isDirty) await rig.receivedAt(wires);
    this.#isDirty = true;
    const before = await this.#counts(dataplane);
    for (const frame of frames) this.#send(frame);
    const received = await rig.receivedAt(wires);
    const out = Object.fromEntries(
      wires.map((wire, i) => [wire, (received[i] ?? []).flatMap((f) => inWords(wire, f)).sort()]),
    );
    this.#isDirty = false;
    const after = await this.#counts(dataplane);
    const counts = Object.entries(after).map(
      ([what, n]) => [what, n - (before[what] ?? 0)] as const,
    );
    // The kernel's tunnel device hears both families, and the drop is counted; in userspace it is nobody's.
    const isStrange = frames.some((one) => one.wire === "ul" && one.outer.is === "other family");
    const uncounted = isStrange ? ["unknown-vni", "stranger-vtep"] : [];
    const compared = counts.filter(([what, n]) => n !== 0 && !uncounted.includes(what));
    return { out, counts: Object.fromEntries(compared) };
  }

  #send(arrival: Arrival): void {
    const { rig } = this;
    if (arrival.wire !== "ul") {
      rig.send(arrival.wire, arrival.frame);
      return;
    }
    const { tunnelled, from, outer } = arrival;
    const ends = outer.is === "other family" ? vteps[isIpv6(rig.vtep) ? 4 : 6] : rig;
    const source = IpAddress(ends[from]);
    rig.tunnel({ ...tunnelled, source, destination: IpAddress(ends.vtep) }, (frame) =>
      changed(frame, outer),
    );
  }

  /** Those of drops, of each VN, VNIC, port and other NVE; but what was shown depends on when. */
  async #counts(dataplane: Dataplane): Promise<Record<string, number>> {
    const { drops, vns, meters = [] } = await dataplane.counters();
    const named = [
      ...vns.map(({ vni, ...counts }) => [String(vni), counts] as const),
      ...meters.map(({ is: _, ...meter }) => meterWords(meter)),
    ];
    const single = named.flatMap(([of, counts]) =>
      Object.entries(counts).map(([what, n]) => [`${of} ${what}`, n] as const),
    );
    const { "glean-overrun": _, "pull-overrun": __, ...compared } = drops;
    return { ...compared, ...Object.fromEntries(single) };
  }
}

type Meter = Omit<NonNullable<DataplaneCounters["meters"]>[number], "is">;

function meterWords(meter: Meter): readonly [string, Record<string, number>] {
  const entries = Object.entries(meter) as [string, unknown][];
  const of = entries.filter(([what]) => ["vni", "vnic", "port", "vtep"].includes(what));
  const counts = entries.filter((entry): entry is [string, number] => !of.includes(entry));
  return [of.map(([, value]) => value).join(" "), Object.fromEntries(counts)];
}

/** Every octet; but of the outer headers neither the flow's number nor what follows from it. */
function inWords(wire: string, frame: Uint8Array): string[] {
  if (wire !== "ul") return [hex(frame)];
  const { etherType, payload, source, destination } = decode(frame, readFrame);
  if (etherType !== EtherType.ipv4 && etherType !== EtherType.ipv6) return [];
  const tunnel = readTunnel(payload);
  if (tunnel === undefined) return [];
  const { frame: inner, flow: _, checksum, ds: marked, ...outer } = tunnel;
  // Over IPv6 by hand it is made of the headers alone: as right, or wrong, as the packet's own.
  const isRight = checksum === "right" || !hasRightChecksum(inner);
  const sum = checksum === "none" ? "no checksum" : isRight ? "checksum" : "wrong checksum";
  // Of a packet that is marked inside the kernel's tunnel device says ECT(0): docs/dataplane.md.
  // What is no IP, came by GRE and goes on is to that device still what it came in: it reads marks where there are none.
  const isIp = [0x0800, 0x86dd].includes(decode(inner, readFrame).etherType);
  const ds = !isIp ? marked & ~3 : (marked & 3) === 3 ? marked - 1 : marked;
  const words = JSON.stringify({ ds, ...outer });
  return [`${source} → ${destination} ${words} ${sum} ${hex(inner)}`];
}

const hex = (octets: Uint8Array): string => Buffer.from(octets).toString("hex");

for (const family of [4, 6] as const) {
  describe(`ebpf and userspace, IPv${family} underlay`, () => {
    const sides: Side[] = [];
    beforeAll(async () => {
      for (const rig of [new EbpfRig("clsact", family), new UserspaceRig(family)]) {
        const side = new Side(rig);
        sides.push(side);
        await side.open();
      }
    });
    afterAll(async () => {
      for (const { rig, dataplane } of sides) {
        rig.tor.enter();
        await dataplane?.close();
        rig.close();
      }
    });

    test.each(seeds)(
      "the same intents make the same of the same frames (SEED=%i)",
      async (seed) => {
        const [ebpf, userspace] = sides;
        if (ebpf === undefined || userspace === undefined) throw new Error("no sides");
        const { a, b } = ebpf.rig;
        const world = fc
          .constantFrom<("vxlan" | Encapsulation)[]>("vxlan", "nvgre", "mpls-over-gre")
          .chain((kind) =>
            roundsOf({
              a: { is: "remote", vtep: a },
              b: { is: "remote", vtep: b, ...(kind !== "vxlan" && { encapsulation: kind }) },
            }),
          );
        const late = performance.now() + limitMs;
        await fc.assert(
          fc.asyncProperty(world, async (rounds) => {
            if (performance.now() > late) return; // what was begun is gone through to its end
            for (const round of rounds) {
              const is = await ebpf.run(round);
              expect(is).toEqual(await userspace.run(round));
            }
          }),
          { seed, numRuns: runs },
        );
      },
      2 * limitMs + 60_000,
    );
  });
}
