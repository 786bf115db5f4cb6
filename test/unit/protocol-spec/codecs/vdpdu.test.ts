import {
  type Association,
  addressesOf,
  addressTlvs,
  ciscoAddressTlvs,
  decode,
  IpAddress,
  Mac,
  type Organizational,
  OutOfRange,
  organizationalOctets,
  readAddresses,
  readVdpdu,
  Uuid,
  type Vdpdu,
  VnId,
  type VsiAddress,
  vdpduLength,
  vdpduOctets,
  vsiIdOf,
} from "@nve/protocol-spec";
import { describe, expect, test } from "vitest";
import { survivesOrIsRefused } from "../../../support/damaged.ts";
import { hex, octets } from "../../../support/octets.ts";

const MANAGER = "0a10 6d677231000000000000000000000000";
const VSI = "05 fa9b7fffb0a04893abcdbeef4ff18f13";
const PRE_ASSOCIATE = `021f 00 000007 01 ${VSI} 03 0001 00001389 0000`;
const manager = octets("6d677231000000000000000000000000");
const vsiId = vsiIdOf(Uuid("fa9b7fff-b0a0-4893-abcd-beef4ff18f13"));
const other = vsiIdOf(Uuid("fa9b7fff-b0a0-4893-abcd-beef4ff18f14"));
const association: Association = {
  status: { is: "request", suspended: false, migrating: false, code: 0 },
  vsiType: { id: 7, version: 1 },
  vsiId,
  filters: { by: "group-vid", entries: [{ groupId: 5001 }] },
};
const ADDRESS = `fe30 4e5645 01 ${VSI} 01 001389 525400112233 06 20010db8000000000000000000000001`;

const vectors: [name: string, wire: string, value: Vdpdu][] = [
  [
    "of spec/vdp.md 2",
    `${MANAGER} ${PRE_ASSOCIATE}`,
    { manager, tlvs: [{ is: "association", type: "pre-associate", association }] },
  ],
  [
    "with every type",
    `${MANAGER} ${PRE_ASSOCIATE.replace("021f", "041f")} ${PRE_ASSOCIATE.replace("021f", "061f")}
     ${PRE_ASSOCIATE.replace("021f", "081f")}`,
    {
      manager,
      tlvs: [
        { is: "association", type: "pre-associate-rr", association },
        { is: "association", type: "associate", association },
        { is: "association", type: "de-associate", association },
      ],
    },
  ],
  [
    "with TLVs that we do not know",
    `${MANAGER} 0c01 aa fc00 ${PRE_ASSOCIATE} fe06 00000c f2 0102`,
    {
      manager,
      tlvs: [
        { is: "unknown", type: 6, octets: octets("aa") },
        { is: "unknown", type: 126, octets: octets("") },
        { is: "association", type: "pre-associate", association },
        { is: "organizational", oui: 0x00000c, subtype: 0xf2, octets: octets("0102") },
      ],
    },
  ],
  [
    "with an address",
    `${MANAGER} ${PRE_ASSOCIATE} ${ADDRESS}`,
    {
      manager,
      tlvs: [
        { is: "association", type: "pre-associate", association },
        {
          is: "organizational",
          oui: 0x4e5645,
          subtype: 1,
          octets: octets(ADDRESS.slice(15)),
        },
      ],
    },
  ],
  ["with a manager alone", MANAGER, { manager, tlvs: [] }],
];

describe.each(vectors)("a ULPDU %s", (_, wire, value) => {
  test("reads and writes", () => {
    expect(decode(octets(wire), readVdpdu)).toEqual(value);
    expect(hex(vdpduOctets(value))).toBe(hex(octets(wire)));
    expect(vdpduLength(value)).toBe(octets(wire).length);
  });
  test("damaged, survives the round trip or is refused", () => {
    survivesOrIsRefused(octets(wire), readVdpdu, vdpduOctets);
  });
});

test.each(["0000", "0000 00", "0000 0000 0000 00"])(
  "the End TLV and padding %s are read past",
  (end) => {
    const value = decode(octets(`${MANAGER} ${PRE_ASSOCIATE} ${end}`), readVdpdu);
    expect(hex(vdpduOctets(value))).toBe(hex(octets(`${MANAGER} ${PRE_ASSOCIATE}`)));
  },
);

test.each([
  ["short", "nothing", ""],
  ["short", "a manager ID past the end", "0a10 6d67"],
  ["short", "half a header", `${MANAGER} 02`],
  ["short", "an association past the end", `${MANAGER} ${PRE_ASSOCIATE}`.slice(0, -2)],
  ["short", "an organizational TLV of three octets", `${MANAGER} fe03 00000c`],
  ["bad-value", "no manager ID", PRE_ASSOCIATE],
  ["bad-value", "an End TLV and no manager ID", "0000"],
  ["bad-value", "the manager ID behind", `${PRE_ASSOCIATE} ${MANAGER}`],
  ["bad-value", "two manager IDs", `${MANAGER} ${MANAGER} ${PRE_ASSOCIATE}`],
  ["bad-value", "a manager ID of 15 octets", "0a0f 6d6772310000000000000000000000"],
  ["bad-value", "an End TLV that is not empty", `${MANAGER} ${PRE_ASSOCIATE} 0001 00`],
  [
    "bad-value",
    "a bad association behind a good one",
    `${MANAGER} ${PRE_ASSOCIATE} 0619 ${"00".repeat(22)} 010000`,
  ],
  ["unsupported", "filter info format 9", `${MANAGER} ${PRE_ASSOCIATE.replace(" 03 ", " 09 ")}`],
  ["short", "an address of ours past the end", `${MANAGER} fe15 4e5645 01 ${VSI}`],
  ["trailing", "more than the count of addresses", `${MANAGER} fe17 4e5645 01 ${VSI} 00 00`],
  ["unsupported", "an address of family 5", `${MANAGER} ${ADDRESS.replace(" 06 ", " 05 ")}`],
])("%s: %s", (code, _, wire) => {
  expect(() => decode(octets(wire), readVdpdu)).toThrow(expect.objectContaining({ code }));
});

test.each<[string, Vdpdu]>([
  ["a manager ID of 15 octets", { manager: new Uint8Array(15), tlvs: [] }],
  [
    "a known type as an unknown TLV",
    { manager, tlvs: [{ is: "unknown", type: 5, octets: octets("") }] },
  ],
  [
    "type 127 as an unknown TLV",
    { manager, tlvs: [{ is: "unknown", type: 127, octets: octets("") }] },
  ],
  [
    "a TLV of 512 octets",
    { manager, tlvs: [{ is: "unknown", type: 6, octets: new Uint8Array(512) }] },
  ],
])("%s is out of range for a writer", (_, value) => {
  expect(() => vdpduOctets(value)).toThrow(OutOfRange);
});

const v4: VsiAddress<IpAddress> = {
  vn: VnId(5001),
  mac: Mac("52:54:00:11:22:33"),
  ip: IpAddress("10.0.0.1"),
};
const v6: VsiAddress<IpAddress> = { ...v4, ip: IpAddress("2001:db8::1") };

describe("H17: our address TLV", () => {
  test.each<[string, string, readonly VsiAddress<IpAddress>[]]>([
    ["with none", `4e5645 01 ${VSI} 00`, []],
    [
      "with both families",
      `4e5645 01 ${VSI} 02 001389 525400112233 04 0a000001
      001389 525400112233 06 20010db8000000000000000000000001`,
      [v4, v6],
    ],
    [
      "that names neither VN nor MAC",
      `4e5645 01 ${VSI} 01 000000 000000000000 04 0a000001`,
      [{ ip: v4.ip }],
    ],
  ])("%s reads and writes", (_, wire, entries) => {
    const tlvs = addressTlvs({ vsiId, entries });
    expect(tlvs.map((tlv) => hex(organizationalOctets(tlv)))).toEqual([hex(octets(wire))]);
    expect(tlvs.map(readAddresses)).toEqual([{ vsiId, entries }]);
  });

  test("goes over several TLVs of at most 511 octets, in order, and is one again", () => {
    const entries = Array.from({ length: 100 }, (_, i) =>
      i % 3 === 0 ? v6 : { ...v4, ip: IpAddress(`10.0.1.${i}`) },
    );
    const tlvs = addressTlvs({ vsiId, entries });
    expect(tlvs.length).toBe(4);
    for (const tlv of tlvs) expect(organizationalOctets(tlv).length).toBeLessThanOrEqual(511);
    const wire = vdpduOctets({
      manager,
      tlvs: [...addressTlvs({ vsiId: other, entries: [v4] }), ...tlvs],
    });
    const read = decode(wire, readVdpdu).tlvs;
    expect(addressesOf(vsiId, read)).toEqual({ vsiId, entries });
    expect(addressesOf(other, read)).toEqual({ vsiId: other, entries: [v4] });
  });

  test("that says none is told from no TLV at all", () => {
    expect(addressesOf(vsiId, addressTlvs({ vsiId, entries: [] }))).toEqual({ vsiId, entries: [] });
    expect(addressesOf(vsiId, [])).toBeUndefined();
    expect(addressesOf(vsiId, addressTlvs({ vsiId: other, entries: [] }))).toBeUndefined();
  });

  test("holds as many as fill it: 34 of IPv4 in one, the 35th in a second", () => {
    const count = (n: number) => addressTlvs({ vsiId, entries: Array(n).fill(v4) }).length;
    expect([count(34), count(35)]).toEqual([1, 2]);
  });
});

describe("Cisco's address TLV", () => {
  test("reads and writes (50-cisco-org-tlv.pcap)", () => {
    const [tlv, ...more] = ciscoAddressTlvs({ vsiId, entries: [v4] });
    expect(more).toEqual([]);
    expect(tlv && hex(organizationalOctets(tlv))).toBe(
      hex(octets(`00000c f2 ${VSI} 0001 0a000001`)),
    );
    expect(tlv && readAddresses(tlv)).toEqual({ vsiId, entries: [{ ip: "10.0.0.1" }] });
  });
  test("one for each address, IPv6 too", () => {
    const tlvs = ciscoAddressTlvs({ vsiId, entries: [v4, v6] });
    expect(addressesOf(vsiId, tlvs)?.entries).toEqual([{ ip: v4.ip }, { ip: v6.ip }]);
  });
});

test.each<[string, number, number, string]>([
  ["of others", 0x0080c2, 0x01, `${VSI} 00`],
  ["of ours of another subtype", 0x4e5645, 0x02, `${VSI} 00`],
  ["of Cisco with the VM's name", 0x00000c, 0xf1, `${VSI} 0001 0a000001`],
  ["of Cisco, cut off", 0x00000c, 0xf2, `${VSI} 0001 0a0000`],
  ["of Cisco, too long", 0x00000c, 0xf2, `${VSI} 0001 0a00000100`],
  ["of Cisco, AFI 3", 0x00000c, 0xf2, `${VSI} 0003 0a000001`],
])("TLVs %s are no addresses, and no fault", (_, oui, subtype, wire) => {
  const tlv: Organizational = { is: "organizational", oui, subtype, octets: octets(wire) };
  expect(readAddresses(tlv)).toBeUndefined();
  const ulpdu = vdpduOctets({ manager, tlvs: [tlv] });
  expect(decode(ulpdu, readVdpdu).tlvs).toEqual([tlv]);
});
