import {
  DecodeError,
  decode,
  IpPrefix,
  labelsOf,
  labelTlv,
  Mac,
  mtusOf,
  mtuTlvs,
  namesOf,
  nameTlvs,
  type Organizational,
  OutOfRange,
  organizationalOctets,
  placeholder,
  prefixesOf,
  prefixTlvs,
  type Reader,
  readLabels,
  readMtus,
  readNames,
  readOrganizational,
  readPrefixes,
  readReason,
  readVdpdu,
  reasonFor,
  reasonTlv,
  Uuid,
  VnId,
  type VsiAddresses,
  type VsiMtus,
  type VsiNames,
  vdpduOctets,
} from "@nve/protocol-spec";
import { describe, expect, test } from "vitest";
import { survivesOrIsRefused } from "../../../support/damaged.ts";
import { hex, octets } from "../../../support/octets.ts";

const VSI = "05 fa9b7fffb0a04893abcdbeef4ff18f13";
const vsiId = { format: 5, octets: octets("fa9b7fffb0a04893abcdbeef4ff18f13") };
const other = { format: 4, octets: vsiId.octets };
const manager = new Uint8Array(16);

const wireOf = (tlv: Organizational): string => hex(organizationalOctets(tlv));

/** The information string of a TLV, as it stands in a ULPDU. */
function asTlv(wire: string): Organizational {
  return decode(octets(wire), readOrganizational);
}

/** A ULPDU with one malformed TLV of ours is refused whole, with this code. */
function refuses(wire: string, code: string): void {
  const ulpdu = vdpduOctets({ manager, tlvs: [asTlv(wire)] });
  expect(() => decode(ulpdu, readVdpdu)).toThrow(expect.objectContaining({ code }));
}

/** Whatever is done to a good one, reader and writer agree or it is refused. */
function damagedIsRefused<T>(
  wire: string,
  read: (tlv: Organizational) => T | undefined,
  write: (value: T) => Organizational,
): void {
  const whole = (r: Reader): T => {
    const value = read(readOrganizational(r));
    if (value === undefined) throw new DecodeError("unsupported", "not of this kind");
    return value;
  };
  survivesOrIsRefused(octets(wire), whole, (value) => organizationalOctets(write(value)));
}

describe("reasons", () => {
  const wire = `4e5645 02 ${VSI} 05 6e6f20564e20c3bc`;
  const value = { vsiId, code: 5, text: "no VN ü" };

  test("read and write", () => {
    expect(wireOf(reasonTlv(value))).toBe(hex(octets(wire)));
    expect(readReason(asTlv(wire))).toEqual(value);
    const empty = { ...value, text: "" };
    expect(readReason(reasonTlv(empty))).toEqual(empty);
  });

  test("count for the association of their VSI with their code, the first if there are two", () => {
    const tlvs = [
      reasonTlv({ ...value, vsiId: other }),
      reasonTlv({ ...value, code: 4, text: "of another answer" }),
      reasonTlv(value),
      reasonTlv({ ...value, text: "second" }),
    ];
    expect(reasonFor(vsiId, 5, tlvs)).toBe("no VN ü");
    expect(reasonFor(vsiId, 2, tlvs)).toBeUndefined();
  });

  test("longer than 255 octets are cut, at a character", () => {
    const read = readReason(reasonTlv({ ...value, text: `${"x".repeat(254)}ü and more` }));
    expect(read?.text).toBe("x".repeat(254));
    const clef = readReason(reasonTlv({ ...value, text: `${"x".repeat(252)}\u{1d11e}` }));
    expect(clef?.text).toBe("x".repeat(252));
    expect(readReason(reasonTlv({ ...value, text: "x".repeat(300) }))?.text).toHaveLength(255);
  });

  test("half a surrogate pair is written as the replacement character", () => {
    expect(readReason(reasonTlv({ ...value, text: "a\ud800b" }))?.text).toBe("a\ufffdb");
  });

  test.each([
    ["short", `4e5645 02 ${VSI}`],
    ["bad-value", `4e5645 02 ${VSI} 10 6e6f`],
    ["bad-value", `4e5645 02 ${VSI} 05 ff`],
    ["bad-value", `4e5645 02 ${VSI} 05 ${"6e".repeat(256)}`],
  ])("%s: %s", (code, wrong) => refuses(wrong, code));

  test("a code of more than 4 bits is out of range for a writer", () => {
    expect(() => reasonTlv({ ...value, code: 16 })).toThrow(OutOfRange);
  });

  test("damaged, survive the round trip or are refused", () => {
    damagedIsRefused(wire, readReason, reasonTlv);
  });
});

describe("H4: VN Names", () => {
  const NAME = "0a0b0c0d-0000-4000-8000-0000000000ff";
  const wire = `4e5645 03 ${VSI} 02 ff000001 0a0b0c0d0000400080000000000000ff 000000
    ff000002 0a0b0c0d0000400080000000000000ff 001389`;
  const first = { placeholder: 0xff000001, name: Uuid(NAME) };
  const second = { placeholder: 0xff000002, name: Uuid(NAME), vn: VnId(5001) };
  const value = { vsiId, entries: [first, second] };
  const write = (names: VsiNames): Organizational => {
    const [tlv, ...more] = nameTlvs(names);
    if (tlv === undefined || more.length > 0) throw new Error("not one TLV");
    return tlv;
  };

  test("read and write, with a VN ID and without", () => {
    expect(wireOf(write(value))).toBe(hex(octets(wire)));
    expect(readNames(asTlv(wire))).toEqual(value);
  });

  test("go over several TLVs, 21 in each", () => {
    const entries = Array.from({ length: 40 }, (_, n) => ({
      ...first,
      placeholder: placeholder(n),
    }));
    const tlvs = nameTlvs({ vsiId, entries });
    expect(tlvs.map((tlv) => readNames(tlv)?.entries.length)).toEqual([21, 19]);
    for (const tlv of tlvs) expect(organizationalOctets(tlv).length).toBeLessThanOrEqual(511);
    expect([...namesOf(vsiId, tlvs).keys()].sort()).toEqual(entries.map((one) => one.placeholder));
    expect(namesOf(other, tlvs).size).toBe(0);
  });

  test("of one placeholder the first name counts", () => {
    const again = { ...first, vn: VnId(7) };
    expect(
      namesOf(vsiId, [write({ vsiId, entries: [first] }), write({ vsiId, entries: [again] })]),
    ).toEqual(new Map([[first.placeholder, first]]));
  });

  test.each([
    ["short", `4e5645 03 ${VSI}`],
    ["short", `4e5645 03 ${VSI} 01 ff000001 00`],
    ["trailing", `4e5645 03 ${VSI} 00 00`],
    ["bad-value", `4e5645 03 ${VSI} 01 00001389 0a0b0c0d0000400080000000000000ff 000000`],
    ["bad-value", `4e5645 03 ${VSI} 01 ff000000 0a0b0c0d0000400080000000000000ff 000000`],
  ])("%s: %s", (code, wrong) => refuses(wrong, code));

  test("a GroupID that may be a VN ID is no placeholder", () => {
    expect(() => write({ vsiId, entries: [{ ...first, placeholder: 5001 }] })).toThrow(OutOfRange);
  });

  test("damaged, survive the round trip or are refused", () => {
    damagedIsRefused(wire, readNames, write);
  });
});

describe("MTUs", () => {
  const wire = `4e5645 04 ${VSI} 02 001389 05dc 00138a ffff`;
  const entries = [
    { vn: VnId(5001), mtu: 1500 },
    { vn: VnId(5002), mtu: 65_535 },
  ];
  const write = (mtus: VsiMtus): Organizational => {
    const [tlv, ...more] = mtuTlvs(mtus);
    if (tlv === undefined || more.length > 0) throw new Error("not one TLV");
    return tlv;
  };

  test("read and write", () => {
    expect(wireOf(write({ vsiId, entries }))).toBe(hex(octets(wire)));
    expect(readMtus(asTlv(wire))).toEqual({ vsiId, entries });
    const of = mtusOf(vsiId, [asTlv(wire), ...mtuTlvs({ vsiId: other, entries: [] })]);
    expect([...of]).toEqual([
      [5001, 1500],
      [5002, 65_535],
    ]);
  });

  test.each([
    ["short", `4e5645 04 ${VSI} 01 001389 05`],
    ["trailing", `4e5645 04 ${VSI} 00 00`],
    ["bad-value", `4e5645 04 ${VSI} 01 000000 05dc`],
    ["bad-value", `4e5645 04 ${VSI} 01 001389 0043`],
  ])("%s: %s", (code, wrong) => refuses(wrong, code));

  test("below 68 octets are out of range for a writer", () => {
    expect(() => write({ vsiId, entries: [{ vn: VnId(1), mtu: 67 }] })).toThrow(OutOfRange);
  });

  test("damaged, survive the round trip or are refused", () => {
    damagedIsRefused(wire, readMtus, write);
  });
});

describe("labels", () => {
  const wire = `4e5645 05 ${VSI} 04 73727631 07 64622d 6ec3bc 31`;
  const value = { vsiId, hypervisor: "srv1", vm: "db-nü1" };

  test("read and write", () => {
    expect(wireOf(labelTlv(value))).toBe(hex(octets(wire)));
    expect(readLabels(asTlv(wire))).toEqual(value);
    const none = { vsiId, hypervisor: "", vm: "" };
    expect(readLabels(labelTlv(none))).toEqual(none);
  });

  test("of a VSI, the first count", () => {
    const tlvs = [
      labelTlv({ ...value, vsiId: other }),
      labelTlv(value),
      labelTlv({ ...value, vm: "b" }),
    ];
    expect(labelsOf(vsiId, tlvs)).toEqual(value);
    expect(labelsOf(vsiId, [])).toBeUndefined();
  });

  test("longer than 200 octets are cut, at a character", () => {
    const long = readLabels(labelTlv({ ...value, vm: `${"x".repeat(199)}ü` }));
    expect(long?.vm).toBe("x".repeat(199));
  });

  test.each([
    ["short", `4e5645 05 ${VSI} 04 737276`],
    ["short", `4e5645 05 ${VSI} 00`],
    ["trailing", `4e5645 05 ${VSI} 00 00 00`],
    ["bad-value", `4e5645 05 ${VSI} 01 ff 00`],
    ["bad-value", `4e5645 05 ${VSI} 00 c9 ${"6e".repeat(201)}`],
  ])("%s: %s", (code, wrong) => refuses(wrong, code));

  test("damaged, survive the round trip or are refused", () => {
    damagedIsRefused(wire, readLabels, labelTlv);
  });
});

describe("H8: prefixes", () => {
  const mac = Mac("52:54:00:11:22:33");
  const wire = `4e5645 06 ${VSI} 03 001389 525400112233 04 1c 0a000010
    000000 525400112233 06 10 fd000000000000000000000000000000
    000000 000000000000 04 00 00000000`;
  const entries = [
    { vn: VnId(5001), mac, ip: IpPrefix("10.0.0.16/28") },
    { mac, ip: IpPrefix("fd00::/16") },
    { ip: IpPrefix("0.0.0.0/0") },
  ];
  const write = (prefixes: VsiAddresses): Organizational => {
    const [tlv, ...more] = prefixTlvs(prefixes);
    if (tlv !== undefined && more.length === 0) return tlv;
    return { is: "organizational", oui: 0x4e5645, subtype: 6, octets: octets(`${VSI} 00`) };
  };

  test("read and write", () => {
    expect(wireOf(write({ vsiId, entries }))).toBe(hex(octets(wire)));
    expect(readPrefixes(asTlv(wire))).toEqual({ vsiId, entries });
    expect(prefixTlvs({ vsiId, entries: [] })).toEqual([]);
  });

  test("go over several TLVs of at most 511 octets, and are one set again", () => {
    const many = Array.from({ length: 100 }, (_, i) => ({ mac, ip: IpPrefix(`10.${i}.0.0/16`) }));
    const tlvs = prefixTlvs({ vsiId, entries: many });
    for (const tlv of tlvs) expect(organizationalOctets(tlv).length).toBeLessThanOrEqual(511);
    expect(prefixesOf(vsiId, tlvs)).toEqual(many);
    expect(prefixesOf(other, tlvs)).toEqual([]);
  });

  test.each([
    ["short", `4e5645 06 ${VSI} 01 001389 525400112233 04 1c 0a0000`],
    ["trailing", `4e5645 06 ${VSI} 00 00`],
    ["unsupported", `4e5645 06 ${VSI} 01 001389 525400112233 05 1c 0a000010`],
    ["bad-value", `4e5645 06 ${VSI} 01 001389 525400112233 04 21 0a000010`],
    ["bad-value", `4e5645 06 ${VSI} 01 001389 525400112233 04 1b 0a000010`],
  ])("%s: %s", (code, wrong) => refuses(wrong, code));

  test("damaged, survive the round trip or are refused", () => {
    damagedIsRefused(wire, readPrefixes, write);
  });
});
