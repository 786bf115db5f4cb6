import {
  controlFilter,
  controlFrames,
  etherTypeFilter,
  isControlFrame,
  strayFilter,
} from "@nve/linux";
import { frameOctets, Mac } from "@nve/protocol-spec";
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { packetTypeOf, runFilter, seen } from "../../support/classic-bpf.ts";
import { hex } from "../../support/octets.ts";

test("the filter loads octets 12-13, and returns the frame for each EtherType, else nothing", () => {
  expect(hex(etherTypeFilter([0x88cc, 0x8940]))).toBe(
    [
      "280000000c000000",
      "15000001cc880000",
      "0600000000000400",
      "1500000140890000",
      "0600000000000400",
    ]
      .concat("0600000000000000")
      .join(""),
  );
});

test("with no EtherType nothing passes", () => {
  expect(hex(etherTypeFilter([]))).toBe("280000000c0000000600000000000000");
});

const own = Mac("52:54:00:aa:00:01");
const [lldp, ecp] = controlFrames.map(controlFilter);
const stray = strayFilter(controlFrames);

type Content = { to: string; etherType: number; length?: number; vid?: number };

/** `length` without the tag. */
function made({ to, etherType, length = 60, vid }: Content): Uint8Array {
  return frameOctets({
    destination: Mac(to),
    source: Mac("02:00:00:00:00:99"),
    ...(vid !== undefined && { tag: { pcp: 7, dei: true, vid } }),
    etherType,
    payload: new Uint8Array(length - 14),
  });
}

/** Which of the programs pass it. */
function passes(frame: Uint8Array, to: string): string[] {
  const it = seen(frame, packetTypeOf(to, own));
  const programs = Object.entries({ lldp, ecp, stray });
  return programs
    .filter(([, program]) => program !== undefined && runFilter(program, it) > 0)
    .map(([name]) => name);
}

describe("the filters of an access link", () => {
  const LLDP = 0x88cc;
  const ECP = 0x8940;
  const NEAREST_CUSTOMER_BRIDGE = "01:80:c2:00:00:00";
  const NEAREST_BRIDGE = "01:80:c2:00:00:0e";
  const to = NEAREST_CUSTOMER_BRIDGE;

  test.each<[string, Content, string]>([
    ["LLDP to the nearest customer bridge", { to, etherType: LLDP }, "lldp"],
    ["LLDP to the nearest bridge", { to: NEAREST_BRIDGE, etherType: LLDP }, "lldp"],
    ["LLDP to the nearest non-TPMR bridge", { to: "01:80:c2:00:00:03", etherType: LLDP }, "lldp"],
    ["LLDP to the interface itself", { to: own, etherType: LLDP }, "lldp"],
    ["LLDP with a priority tag", { to, etherType: LLDP, vid: 0 }, "lldp"],
    ["the shortest LLDPDU", { to, etherType: LLDP, length: 26 }, "lldp"],
    ["the longest frame", { to, etherType: LLDP, length: 1514 }, "lldp"],
    ["the longest frame, and a priority tag", { to, etherType: ECP, length: 1514, vid: 0 }, "ecp"],
    ["ECP to the nearest customer bridge", { to, etherType: ECP }, "ecp"],
    ["ECP to the interface itself", { to: own, etherType: ECP }, "ecp"],
    ["an ECPDU with nothing in it", { to, etherType: ECP, length: 18 }, "ecp"],
    ["ECP to the nearest bridge", { to: NEAREST_BRIDGE, etherType: ECP }, "stray"],
    ["ECP to somebody else", { to: "52:54:00:aa:00:02", etherType: ECP }, "stray"],
    ["ECP to everybody", { to: "ff:ff:ff:ff:ff:ff", etherType: ECP }, "stray"],
    ["LLDP to another group of bridges", { to: "01:80:c2:00:00:01", etherType: LLDP }, "stray"],
    ["LLDP to a group that ends alike", { to: "01:80:c3:00:00:0e", etherType: LLDP }, "stray"],
    ["LLDP with the tag of a VN", { to, etherType: LLDP, vid: 2 }, "stray"],
    ["ECP with the reserved VID", { to: own, etherType: ECP, vid: 4095 }, "stray"],
    ["an LLDPDU without room for its TLVs", { to, etherType: LLDP, length: 25 }, "stray"],
    ["half an ECP header", { to, etherType: ECP, length: 17 }, "stray"],
    ["a jumbo frame", { to, etherType: LLDP, length: 1515 }, "stray"],
  ])("%s", (_, content, which) => {
    expect(passes(made(content), content.to)).toEqual([which]);
  });

  test("CVE-2021-27861: behind a second tag, an S-tag or LLC/SNAP nothing is taken for LLDP or ECP", () => {
    const inner = made({ to, etherType: LLDP });
    const tagged = (...tags: number[][]) =>
      Uint8Array.from([...inner.subarray(0, 12), ...tags.flat(), ...inner.subarray(12)]);
    expect(passes(tagged([0x88, 0xa8, 0, 0]), to)).toEqual(["stray"]);
    expect(passes(tagged([0x81, 0, 0, 0], [0x81, 0, 0, 0]), to)).toEqual([]);
    expect(passes(tagged([0x88, 0xa8, 0, 0], [0x81, 0, 0, 0]), to)).toEqual([]);
    const snap = [0xaa, 0xaa, 3, 0, 0, 0]; // 802.2 SNAP, then the EtherType
    expect(passes(tagged([0, 46], snap), to)).toEqual([]);
    expect(passes(tagged([0x81, 0, 0, 0], [0, 46], snap), to)).toEqual([]);
  });

  test("data frames pass none of them", () => {
    for (const etherType of [0x0800, 0x86dd, 0x0806, 0x88b5])
      expect(passes(made({ to: own, etherType }), own)).toEqual([]);
  });

  test("any frame: the programs say what isControlFrame says, and never two of them pass it", () => {
    const destinations = ["00", "03", "0e", "01"].map((end) => `01:80:c2:00:00:${end}`);
    const any = fc.record({
      to: fc.constantFrom(...destinations, own, "ff:ff:ff:ff:ff:ff", "52:54:00:aa:00:02"),
      etherType: fc.constantFrom(LLDP, ECP, 0x0800),
      length: fc.oneof(fc.integer({ min: 14, max: 70 }), fc.integer({ min: 1500, max: 1530 })),
      vid: fc.option(fc.constantFrom(0, 1, 2, 4095), { nil: undefined }),
    });
    fc.assert(
      fc.property(any, ({ vid, ...content }) => {
        const frame = made({ ...content, ...(vid !== undefined && { vid }) });
        const protocol = controlFrames.find(({ etherType }) => etherType === content.etherType);
        const expected =
          protocol && (isControlFrame(protocol, frame, own) ? protocol.protocol : "stray");
        expect(passes(frame, content.to)).toEqual(expected === undefined ? [] : [expected]);
      }),
      { numRuns: 2000 },
    );
  });
});
