import { Vni } from "@nve/protocol-spec";
import type { Capture, Captured, CaptureFilter } from "@nve/switch-agent/dataplane/capture";
import type { Dataplane } from "@nve/switch-agent/dataplane/dataplane";
import type { AclRule, Intent } from "@nve/switch-agent/nve";
import { afterAll, afterEach, beforeAll, describe, expect, test } from "vitest";
import { local, standard, vn } from "../contracts/dataplane-bench.ts";
import { frameText, testFrame } from "../contracts/wires.ts";
import { EbpfRig } from "./dataplane-rig.ts";

describe.each([4, 6] as const)("frames with their verdicts, IPv%i underlay", (family) => {
  let rig: EbpfRig;
  let dataplane: Dataplane;
  let heard: Captured[] = [];
  let lost = 0;
  const open: Capture[] = [];
  beforeAll(() => {
    rig = new EbpfRig("clsact", family);
  });
  afterAll(() => rig?.close());
  afterEach(async () => {
    for (const one of open.splice(0)) one.close();
    await dataplane?.close();
    heard = [];
    lost = 0;
  });

  const begin = async (...more: Intent[]): Promise<void> => {
    dataplane = await rig.open();
    for (const port of ["p1", "p2", "p3"]) await dataplane.portUp(port);
    await dataplane.ensure([...standard(rig), ...more]);
  };
  const capture = (
    filter: Partial<CaptureFilter> = {},
    hear?: (all: Captured[]) => void,
  ): Capture => {
    const made = dataplane.capture?.({ octets: 128, ...filter }, (frames, more) => {
      if (hear === undefined) heard.push(...frames);
      else hear([...frames]);
      lost += more;
    });
    if (made === undefined) throw new Error("the driver has no capture");
    open.push(made);
    return made;
  };
  const send = (port: string, from: string, to: string, tags: string): void =>
    rig.send(port, testFrame({ from, to, tags, text: "hello" }));
  const heardAll = (n: number): Promise<void> => expect.poll(() => heard.length).toBe(n);

  test("each with where it comes from and what became of it", async () => {
    const acl: AclRule[] = [{ action: "deny", direction: "both", etherType: 0x0800 }];
    await begin({ ...vn(200, [local("p1", 20), local("p3", 10)], false), acl } as Intent);
    capture();
    send("p1", "0a", "0b", "10");
    send("p1", "0a", "0c", "10");
    send("p1", "0a", "ff", "10");
    send("p1", "0a", "0a", "99");
    send("p2", "0b", "77", "20");
    send("p1", "0a", "01:80:c2:00:00:0e", "");
    await rig.seen();
    await heardAll(6);
    const at = { link: "p1", verdict: "forwarded", vni: 100 };
    expect(heard).toMatchObject([
      { ...at, from: { is: "port", tag: 10 }, to: { is: "port", port: "p2", tag: 20 } },
      { ...at, to: { is: "nve", vtep: rig.a, encapsulation: "vxlan" } },
      { ...at, verdict: "flooded", copies: { ports: 2, nves: 2 } },
      { link: "p1", verdict: "dropped", reason: "no-such-tag", from: { is: "port", tag: 99 } },
      { link: "p2", verdict: "dropped", reason: "unknown-mac", vni: 100 },
      { link: "p1", verdict: "agent", from: { is: "port" } },
    ]);
    expect(heard.map(({ octets }) => frameText(octets))).toEqual([
      "0a → 0b [10] hello",
      "0a → 0c [10] hello",
      "0a → ff [10] hello",
      "0a → 0a [99] hello",
      "0b → 77 [20] hello",
      "0a → 01:80:c2:00:00:0e [] hello",
    ]);
    const now = BigInt(Date.now()) * 1_000_000n;
    for (const { atUnixNs } of heard) expect(Math.abs(Number(now - atUnixNs))).toBeLessThan(5e9);
    expect(lost).toBe(0);
  });

  test("from the overlay, by hand or by the device, and of a stranger", async () => {
    await begin();
    capture();
    const from = (source = rig.a, vni = 100) =>
      rig.tunnel({
        ...{ vni, source, destination: rig.vtep },
        frame: testFrame({ from: "0c", to: "0a", tags: "", text: "hello" }),
      });
    from();
    from(rig.stranger);
    from(rig.a, 300);
    await rig.seen();
    await heardAll(3);
    expect(heard).toMatchObject([
      { verdict: "forwarded", from: { is: "overlay", vtep: rig.a }, to: { port: "p1", tag: 10 } },
      {
        reason: "stranger-vtep",
        from: { is: "overlay", vtep: rig.stranger, outer: true },
        vni: 100,
      },
      { reason: "unknown-vni", from: { is: "overlay", vtep: rig.a }, vni: 300 },
    ]);
  });

  test("by port, VN and drops alone, several at once, each with its own octets", async () => {
    await begin();
    const by: Record<string, Captured[]> = { p2: [], vn200: [], drops: [] };
    const into = (name: string) => (all: Captured[]) => by[name]?.push(...all);
    const first = capture({ port: "p2" }, into("p2"));
    capture({ vni: Vni(200), octets: 20 }, into("vn200"));
    capture({ dropsOnly: true }, into("drops"));
    send("p1", "0a", "0b", "10");
    send("p2", "0b", "0c", "20");
    send("p1", "0a", "0b", "20");
    send("p1", "0a", "77", "20");
    await rig.seen();
    const is = () => Object.values(by).map((all) => all.length);
    await expect.poll(is).toEqual([2, 2, 1]);
    expect(by["vn200"]?.map(({ octets, length }) => [octets.length, length])).toEqual([
      [20, 60],
      [20, 60],
    ]);
    first.close();
    send("p1", "0a", "0b", "10");
    send("p1", "0a", "77", "10");
    await rig.seen();
    await expect.poll(is).toEqual([2, 2, 2]);
  });

  test("the programs do nothing of it when nobody captures, and more than 5,000 a second are counted as lost", async () => {
    await begin();
    const one = capture();
    const frame = testFrame({ from: "0a", to: "77", tags: "10", text: "hello" });
    await rig.sendMany("p1", frame, 4000);
    await rig.received("p1");
    await expect.poll(() => heard.length + lost).toBe(4000);
    one.close();
    const before = heard.length;
    send("p1", "0a", "77", "10");
    await rig.seen();
    capture();
    send("p1", "0a", "0b", "10");
    await rig.seen();
    await heardAll(before + 1);
    expect(heard.at(-1)?.verdict).toBe("forwarded");
  });

  test("a port that is not there, and too many captures, are refused", async () => {
    await begin();
    expect(() => capture({ port: "swp9" })).toThrow("no access port swp9 is there");
    for (let n = 0; n < 8; n++) capture();
    expect(() => capture()).toThrow("8 captures run already");
  });
});
