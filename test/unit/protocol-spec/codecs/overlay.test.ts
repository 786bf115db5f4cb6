import {
  type Arp,
  arpOctets,
  decode,
  type Frame,
  IpAddress,
  Mac,
  OutOfRange,
  readArp,
  readUdpOverIp,
  readVxlan,
  Vni,
  VXLAN_PORT,
  vxlanOctets,
} from "@nve/protocol-spec";
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { survivesOrIsRefused, valueOrDecodeError } from "../../../support/damaged.ts";
import { hex, octets } from "../../../support/octets.ts";

const frame: Frame = {
  destination: Mac("02:00:00:00:00:0b"),
  source: Mac("02:00:00:00:00:0a"),
  etherType: 0x0800,
  payload: octets("4500"),
};
const VXLAN = "08 000000 001389 00 02000000000b 02000000000a 0800 4500";

describe("VXLAN", () => {
  test("reads and writes, RFC 7348 §5", () => {
    expect(decode(octets(VXLAN), readVxlan)).toEqual({ vni: 5001, frame });
    expect(hex(vxlanOctets({ vni: Vni(5001), frame }))).toBe(hex(octets(VXLAN)));
  });
  test("reserved fields are read past", () => {
    expect(decode(octets(`ff ffffff 001389 ff ${VXLAN.slice(20)}`), readVxlan).vni).toBe(5001);
  });
  test.each([
    ["bad-value", "00 000000 001389 00 02000000000b 02000000000a 0800"],
    ["short", "08 000000 0013"],
    ["short", "08 000000 001389 00 02000000000b"],
  ])("%s: %s", (code, wire) => {
    expect(() => decode(octets(wire), readVxlan)).toThrow(expect.objectContaining({ code }));
  });
  test("damaged, survives the round trip or is refused", () => {
    survivesOrIsRefused(octets(VXLAN), readVxlan, vxlanOctets);
  });
});

const UDP = "c001 12b5 000c 0000 deadbeef";
const IPV4 = `45 00 0020 0001 4000 40 11 0000 c0000201 c0000202`;
const IPV6 = `60000000 000c 11 40 20010db8000000000000000000000001 20010db8000000000000000000000002`;
const udp = { sourcePort: 0xc001, destinationPort: VXLAN_PORT, payload: octets("deadbeef") };

describe("UDP over IP", () => {
  test.each([
    ["IPv4", `${IPV4} ${UDP}`],
    ["IPv4 with padding behind it", `${IPV4} ${UDP} 000000000000`],
    ["IPv4 with options", `46 ${IPV4.slice(3).replace("0020", "0024")} 01010100 ${UDP}`],
  ])("%s", (_, wire) => {
    expect(decode(octets(wire), readUdpOverIp)).toEqual({
      source: IpAddress("192.0.2.1"),
      destination: IpAddress("192.0.2.2"),
      ...udp,
    });
  });
  test("IPv6", () => {
    expect(decode(octets(`${IPV6} ${UDP}`), readUdpOverIp)).toEqual({
      source: IpAddress("2001:db8::1"),
      destination: IpAddress("2001:db8::2"),
      ...udp,
    });
  });
  test.each([
    ["short", ""],
    ["short", IPV4],
    ["short", `${IPV4} ${UDP}`.slice(0, -2)],
    ["short", `${IPV6} ${UDP}`.slice(0, -2)],
    ["short", `${IPV4} c001 12b5 000d 0000 deadbeef`],
    ["bad-value", `${IPV4} c001 12b5 0007 0000 deadbeef`],
    ["bad-value", `44 ${IPV4.slice(3)} ${UDP}`],
    ["bad-value", `${IPV4.replace("0020", "0013")} ${UDP}`],
    ["unsupported", `55 ${IPV4.slice(3)} ${UDP}`],
    ["unsupported", `${IPV4.replace(" 11 ", " 06 ")} ${UDP}`],
    ["unsupported", `${IPV4.replace("4000", "2000")} ${UDP}`],
    ["unsupported", `${IPV4.replace("4000", "0001")} ${UDP}`],
    ["unsupported", `${IPV6.replace(" 11 ", " 00 ")} ${UDP}`],
  ])("%s: %s", (code, wire) => {
    expect(() => decode(octets(wire), readUdpOverIp)).toThrow(expect.objectContaining({ code }));
  });
  test("noise is a value or a DecodeError", () => {
    const head = fc.constantFrom(octets(IPV4), octets(IPV6), octets(""));
    fc.assert(
      fc.property(head, fc.uint8Array({ maxLength: 60 }), (head, rest) => {
        valueOrDecodeError(Uint8Array.from([...head, ...rest]), readUdpOverIp);
      }),
    );
  });
});

const ARP = "0001 0800 06 04 0001 02000000000a 0a000001 000000000000 0a000002";
const arp: Arp = {
  op: "request",
  sender: { mac: Mac("02:00:00:00:00:0a"), ip: IpAddress("10.0.0.1") },
  target: { mac: Mac("00:00:00:00:00:00"), ip: IpAddress("10.0.0.2") },
};

describe("ARP", () => {
  test("reads and writes, RFC 826", () => {
    expect(decode(octets(ARP), readArp)).toEqual(arp);
    expect(hex(arpOctets(arp))).toBe(hex(octets(ARP)));
    const reply = ARP.replace("04 0001", "04 0002");
    expect(decode(octets(reply), readArp)).toEqual({ ...arp, op: "reply" });
    expect(hex(arpOctets({ ...arp, op: "reply" }))).toBe(hex(octets(reply)));
  });
  test("padding of a short frame is read past", () => {
    expect(decode(octets(`${ARP} ${"00".repeat(18)}`), readArp)).toEqual(arp);
  });
  test.each([
    ["short", ARP.slice(0, -2)],
    ["unsupported", ARP.replace("0001 0800", "0006 0800")],
    ["unsupported", ARP.replace("0800", "86dd")],
    ["unsupported", ARP.replace("06 04", "06 10")],
    ["unsupported", ARP.replace("04 0001", "04 0003")],
  ])("%s: %s", (code, wire) => {
    expect(() => decode(octets(wire), readArp)).toThrow(expect.objectContaining({ code }));
  });
  test("carries no IPv6", () => {
    const target = { ...arp.target, ip: IpAddress("::1") };
    expect(() => arpOctets({ ...arp, target })).toThrow(OutOfRange);
  });
  test("damaged, survives the round trip or is refused", () => {
    survivesOrIsRefused(octets(ARP), readArp, arpOctets);
  });
});
