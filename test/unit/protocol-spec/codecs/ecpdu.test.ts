import {
  decode,
  type Ecpdu,
  EcpSubtype,
  ecpduOctets,
  OutOfRange,
  readEcpdu,
} from "@nve/protocol-spec";
import { describe, expect, test } from "vitest";
import { survivesOrIsRefused } from "../../../support/damaged.ts";
import { hex, octets } from "../../../support/octets.ts";

const nothing = new Uint8Array();

const vectors: [name: string, wire: string, value: Ecpdu][] = [
  [
    "request",
    "1001 0001 0a10",
    { op: "request", subtype: EcpSubtype.vdp, sequence: 1, ulpdu: octets("0a10") },
  ],
  [
    "request without ULPDU",
    "1001 ffff",
    { op: "request", subtype: 1, sequence: 65535, ulpdu: nothing },
  ],
  ["ack", "1401 0007", { op: "ack", subtype: 1, sequence: 7, ulpdu: nothing }],
  ["ack to a port extender", "1402 0000", { op: "ack", subtype: 2, sequence: 0, ulpdu: nothing }],
  [
    "request of the highest subtype",
    "13ff 0000",
    { op: "request", subtype: 1023, sequence: 0, ulpdu: nothing },
  ],
];

describe.each(vectors)("a %s", (_, wire, value) => {
  test("reads and writes", () => {
    expect(decode(octets(wire), readEcpdu)).toEqual(value);
    expect(hex(ecpduOctets(value))).toBe(hex(octets(wire)));
  });
  test("damaged, survives the round trip or is refused", () => {
    survivesOrIsRefused(octets(wire), readEcpdu, ecpduOctets);
  });
});

test("an ack may carry padding, which is nobody's, and is written without", () => {
  const ack = decode(octets("1401 0007 0000 0000"), readEcpdu);
  expect(ack).toEqual({ op: "ack", subtype: 1, sequence: 7, ulpdu: nothing });
  expect(hex(ecpduOctets({ ...ack, ulpdu: octets("aa") }))).toBe("14010007");
});

test.each([
  ["short", ""],
  ["short", "1001 00"],
  ["unsupported", "2001 0001"],
  ["unsupported", "0001 0001"],
  ["unsupported", "1801 0001"],
  ["unsupported", "1c01 0001"],
])("%s: %s", (code, wire) => {
  expect(() => decode(octets(wire), readEcpdu)).toThrow(expect.objectContaining({ code }));
});

test.each([{ subtype: 1024 }, { subtype: -1 }, { sequence: 65536 }])(
  "%j is out of range",
  (wrong) => {
    const ack: Ecpdu = { op: "ack", subtype: 1, sequence: 1, ulpdu: nothing };
    expect(() => ecpduOctets({ ...ack, ...wrong })).toThrow(OutOfRange);
  },
);
