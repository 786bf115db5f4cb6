import {
  DecodeError,
  decode,
  type EvbTlv,
  type Extension,
  evbOptionalTlv,
  evbTlvOctets,
  extensionOctets,
  extensionOptionalTlv,
  findEvbTlv,
  findExtension,
  IpAddress,
  type Lldpdu,
  lldpduOctets,
  managementAddressTlv,
  type OptionalTlv,
  OutOfRange,
  readEvbTlv,
  readExtension,
  readLldpdu,
} from "@nve/protocol-spec";
import { describe, expect, test } from "vitest";
import { survivesOrIsRefused } from "../../../support/damaged.ts";
import { hex, octets } from "../../../support/octets.ts";

const CHASSIS = "0207 04 525400aa0001";
const PORT = "0406 05 6c616e3031"; // interface name "lan01"
const TTL = "0602 0078";
const MANDATORY = `${CHASSIS} ${PORT} ${TTL}`;
const EVB = "fe09 0080c2 0d 060c6eb434";
const mandatory = {
  chassisId: { subtype: 4, octets: octets("525400aa0001") },
  portId: { subtype: 5, octets: octets("6c616e3031") },
  ttl: 120,
};

const vectors: [name: string, wire: string, value: Lldpdu][] = [
  ["with no more than it must have", `${MANDATORY} 0000`, { ...mandatory, tlvs: [] }],
  ["that says goodbye", `${CHASSIS} ${PORT} 0602 0000 0000`, { ...mandatory, ttl: 0, tlvs: [] }],
  [
    "with texts, in any order",
    `${MANDATORY} 0a04 746f7231 0803 c3a931 0c00 0000`,
    {
      ...mandatory,
      tlvs: [
        { is: "system-name", text: "tor1" },
        { is: "port-description", text: "é1" },
        { is: "system-description", text: "" },
      ],
    },
  ],
  [
    "with a text that is no UTF-8",
    `${MANDATORY} 0a02 e931 0000`,
    { ...mandatory, tlvs: [{ is: "unknown", type: 5, octets: octets("e931") }] },
  ],
  [
    "with capabilities and management addresses",
    `${MANDATORY} 0e04 0094 0080 100c 05 01 c0000201 02 00000007 00
     1018 11 02 20010db8000000000000000000000001 01 00000000 00
     100e 04 06 a1b2c3 02 00000001 03 2b0601 0000`,
    {
      ...mandatory,
      tlvs: [
        { is: "system-capabilities", capabilities: 0x94, enabled: 0x80 },
        address(1, "c0000201", IpAddress("192.0.2.1"), 2, 7, ""),
        address(2, "20010db8000000000000000000000001", IpAddress("2001:db8::1"), 1, 0, ""),
        address(6, "a1b2c3", undefined, 2, 1, "2b0601"),
      ],
    },
  ],
  [
    "with TLVs that we do not know",
    `${MANDATORY} 1203 010203 fc00 fe04 00120f 01 fe04 00120f 01 ${EVB} 0000`,
    {
      ...mandatory,
      tlvs: [
        { is: "unknown", type: 9, octets: octets("010203") },
        { is: "unknown", type: 126, octets: octets("") },
        { is: "organizational", oui: 0x00120f, subtype: 1, octets: octets("") },
        { is: "organizational", oui: 0x00120f, subtype: 1, octets: octets("") },
        { is: "organizational", oui: 0x0080c2, subtype: 0x0d, octets: octets("060c6eb434") },
      ],
    },
  ],
];

function address(
  subtype: number,
  hex: string,
  ip: IpAddress | undefined,
  by: number,
  number: number,
  oid: string,
): OptionalTlv {
  const known = ip === undefined ? {} : { ip };
  return {
    is: "management-address",
    address: {
      subtype,
      octets: octets(hex),
      ...known,
      interface: { subtype: by, number },
      oid: octets(oid),
    },
  };
}

describe.each(vectors)("a LLDPDU %s", (_, wire, value) => {
  test("reads and writes", () => {
    expect(decode(octets(wire), readLldpdu)).toEqual(value);
    expect(hex(lldpduOctets(value))).toBe(hex(octets(wire)));
  });
  test("damaged, survives the round trip or is refused", () => {
    survivesOrIsRefused(octets(wire), readLldpdu, lldpduOctets);
  });
});

test("a management address of our own says the address and no interface", () => {
  const tlvs = ["192.0.2.1", "2001:db8::1"].map((ip) => managementAddressTlv(IpAddress(ip)));
  expect(decode(lldpduOctets({ ...mandatory, tlvs }), readLldpdu).tlvs).toEqual([
    address(1, "c0000201", IpAddress("192.0.2.1"), 1, 0, ""),
    address(2, `20010db8 ${"00".repeat(11)} 01`, IpAddress("2001:db8::1"), 1, 0, ""),
  ]);
});

test("what follows the End TLV is padding, and a missing End TLV is no fault", () => {
  for (const end of ["", "0000", "0000 00", "0000 000000", "0000 fe"]) {
    expect(decode(octets(`${MANDATORY} ${end}`), readLldpdu), end).toEqual({
      ...mandatory,
      tlvs: [],
    });
  }
});

test.each([
  ["short", "nothing", ""],
  ["short", "the TTL is missing", `${CHASSIS} ${PORT}`],
  ["short", "a length past the end", `${MANDATORY} 0a05 746f7231`],
  ["short", "half a header", `${MANDATORY} 0a`],
  ["short", "TTL of one octet", `${CHASSIS} ${PORT} 0601 78`],
  ["trailing", "TTL of three octets", `${CHASSIS} ${PORT} 0603 007800`],
  ["bad-value", "port before chassis", `${PORT} ${CHASSIS} ${TTL}`],
  ["bad-value", "an End TLV in place of the TTL", `${CHASSIS} ${PORT} 0000`],
  ["bad-value", "a second chassis ID", `${MANDATORY} ${CHASSIS} 0000`],
  ["bad-value", "a second port ID", `${MANDATORY} ${PORT} 0000`],
  ["bad-value", "a second TTL", `${MANDATORY} ${TTL} 0000`],
  ["bad-value", "two port descriptions", `${MANDATORY} 0801 61 0801 61 0000`],
  ["bad-value", "two system names", `${MANDATORY} 0a01 61 0a01 62 0000`],
  ["bad-value", "two system descriptions", `${MANDATORY} 0c01 61 0c01 ff 0000`],
  ["bad-value", "capabilities twice", `${MANDATORY} 0e04 00000000 0e04 00000000 0000`],
  ["bad-value", "two EVB TLVs", `${MANDATORY} ${EVB} ${EVB} 0000`],
  [
    "bad-value",
    "two announcements of ours",
    `${MANDATORY} fe06 4e5645010101 fe06 4e5645010101 0000`,
  ],
  ["bad-value", "an empty chassis ID", `0201 04 ${PORT} ${TTL} 0000`],
  ["bad-value", "a chassis ID of 256 octets", `0301 04 ${"61".repeat(256)} ${PORT} ${TTL} 0000`],
  ["bad-value", "a text of 256 octets", `${MANDATORY} 0b00 ${"61".repeat(256)} 0000`],
  ["bad-value", "an End TLV that is not empty", `${MANDATORY} 0001 00`],
  ["bad-value", "a management address of no octets", `${MANDATORY} 1008 01 01 02 00000007 00 0000`],
  ["bad-value", "a management address of length 0", `${MANDATORY} 1008 00 01 02 00000007 00 0000`],
  ["short", "an OID past the end", `${MANDATORY} 100c 05 01 c0000201 02 00000007 01 0000`],
  ["trailing", "capabilities of five octets", `${MANDATORY} 0e05 0000000000 0000`],
  ["short", "an organizational TLV of three octets", `${MANDATORY} fe03 0080c2 0000`],
])("%s: %s", (code, _, wire) => {
  expect(() => decode(octets(wire), readLldpdu)).toThrow(DecodeError);
  expect(() => decode(octets(wire), readLldpdu)).toThrow(expect.objectContaining({ code }));
});

test.each<[string, Partial<Lldpdu>]>([
  ["an empty port ID", { portId: { subtype: 7, octets: octets("") } }],
  ["a port ID of 256 octets", { portId: { subtype: 7, octets: new Uint8Array(256) } }],
  ["a TTL of 18 hours and more", { ttl: 65536 }],
  ["a text of 256 octets", { tlvs: [{ is: "system-name", text: "é".repeat(128) }] }],
  ["a TLV of 512 octets", { tlvs: [{ is: "unknown", type: 9, octets: new Uint8Array(512) }] }],
  [
    "a mandatory TLV among the optional",
    { tlvs: [{ is: "unknown", type: 3, octets: octets("0078") }] },
  ],
  [
    "more than a frame holds",
    { tlvs: Array(3).fill({ is: "unknown", type: 9, octets: new Uint8Array(500) }) },
  ],
])("%s is out of range for a writer", (_, wrong) => {
  expect(() => lldpduOctets({ ...mandatory, tlvs: [], ...wrong })).toThrow(OutOfRange);
});

const evb: EvbTlv = {
  bridge: { groupId: true, reflectiveRelayCapable: true, reflectiveRelay: false },
  station: { groupId: true, reflectiveRelayRequest: true, reflectiveRelay: 0 },
  r: 3,
  rte: 14,
  rwd: 20,
  rka: 20,
  rolRwd: true,
  rolRka: true,
  mode: 2,
};

describe("EVB TLV", () => {
  test.each<[string, EvbTlv]>([
    ["0080c20d 060c6eb434", evb],
    [
      "0080c20d 070d6e7434",
      {
        ...evb,
        mode: 1,
        bridge: { ...evb.bridge, reflectiveRelay: true },
        station: { ...evb.station, reflectiveRelay: 1 },
      },
    ],
    [
      "0080c20d 0000ffdf1f",
      {
        bridge: { groupId: false, reflectiveRelayCapable: false, reflectiveRelay: false },
        station: { groupId: false, reflectiveRelayRequest: false, reflectiveRelay: 0 },
        r: 7,
        rte: 31,
        rwd: 31,
        rka: 31,
        rolRwd: false,
        rolRka: false,
        mode: 3,
      },
    ],
  ])("%s reads and writes", (wire, value) => {
    expect(decode(octets(wire), readEvbTlv)).toEqual(value);
    expect(hex(evbTlvOctets(value))).toBe(hex(octets(wire)));
  });

  test("reserved bits are read past and written 0", () => {
    const read = decode(octets("0080c20d fefc6eb4f4"), readEvbTlv);
    expect(hex(evbTlvOctets(read))).toBe("0080c20d060c6eb434");
  });

  test.each([
    ["short", "0080c20d 060c6eb4"],
    ["trailing", "0080c20d 060c6eb434 00"],
    ["bad-value", "0080c20e 060c6eb434"],
    ["bad-value", "0080c30d 060c6eb434"],
  ])("%s: %s", (code, wire) => {
    expect(() => decode(octets(wire), readEvbTlv)).toThrow(expect.objectContaining({ code }));
  });

  test.each([{ r: 8 }, { rte: 32 }, { rwd: 32 }, { rka: -1 }])("%j is out of range", (wrong) => {
    expect(() => evbTlvOctets({ ...evb, ...wrong })).toThrow(OutOfRange);
  });

  test("damaged, survives the round trip or is refused", () => {
    survivesOrIsRefused(octets("0080c20d 060c6eb434"), readEvbTlv, evbTlvOctets);
  });

  test("is found in a LLDPDU, and one of another length is not", () => {
    const among = (wire: string) =>
      decode(octets(`${MANDATORY} 0a01 61 ${wire} 0000`), readLldpdu).tlvs;
    expect(findEvbTlv(among(EVB))).toEqual(evb);
    expect(findEvbTlv(among("fe0a 0080c2 0d 060c6eb434 00"))).toBeUndefined();
    expect(findEvbTlv(among("fe08 0080c2 0d 060c6eb4"))).toBeUndefined();
    expect(findEvbTlv(among("fe09 0080c2 0e 060c6eb434"))).toBeUndefined();
    expect(findEvbTlv([])).toBeUndefined();
  });

  test("stands in a LLDPDU with exactly 9 octets", () => {
    const wire = lldpduOctets({ ...mandatory, tlvs: [evbOptionalTlv(evb)] });
    expect(hex(wire)).toBe(hex(octets(`${MANDATORY} ${EVB} 0000`)));
  });
});

describe("our announcement", () => {
  test.each<[string, Extension]>([
    ["01 01", { version: 1, reads: new Set(["addresses"]) }],
    ["01 02", { version: 1, reads: new Set(["reasons"]) }],
    ["01 04", { version: 1, reads: new Set(["names"]) }],
    ["01 08", { version: 1, reads: new Set(["mtus"]) }],
    ["01 10", { version: 1, reads: new Set(["labels"]) }],
    ["01 20", { version: 1, reads: new Set(["prefixes"]) }],
    ["01 00", { version: 1, reads: new Set() }],
    ["ff 03", { version: 255, reads: new Set(["addresses", "reasons"]) }],
  ])("%s reads and writes", (wire, value) => {
    expect(decode(octets(wire), readExtension)).toEqual(value);
    expect(hex(extensionOctets(value))).toBe(hex(octets(wire)));
  });

  test("what a later version adds is read past", () => {
    const { version, reads } = decode(octets("02 ff aabb"), readExtension);
    expect([version, reads.has("addresses"), reads.has("reasons")]).toEqual([2, true, true]);
  });

  test.each([
    ["short", "01"],
    ["bad-value", "00 01"],
  ])("%s: %s", (code, wire) => {
    expect(() => decode(octets(wire), readExtension)).toThrow(expect.objectContaining({ code }));
  });

  test("stands in a LLDPDU and is found there", () => {
    const value: Extension = { version: 1, reads: new Set(["addresses"]) };
    const wire = lldpduOctets({ ...mandatory, tlvs: [extensionOptionalTlv(value)] });
    expect(hex(wire)).toBe(hex(octets(`${MANDATORY} fe06 4e5645 01 01 01 0000`)));
    expect(findExtension(decode(wire, readLldpdu).tlvs)).toEqual(value);
    expect(findExtension([])).toBeUndefined();
    const malformed = `${MANDATORY} fe04 4e5645 01 0000`;
    expect(findExtension(decode(octets(malformed), readLldpdu).tlvs)).toBeUndefined();
  });

  test("damaged, survives the round trip or is refused", () => {
    survivesOrIsRefused(octets("01 01"), readExtension, extensionOctets);
  });
});
