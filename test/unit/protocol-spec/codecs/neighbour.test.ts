import {
  type Dhcp,
  type Dhcp6,
  decode,
  dhcp6Octets,
  dhcpOctets,
  IpAddress,
  Mac,
  type Nd,
  ndOctets,
  readDhcp,
  readDhcp6,
  readNd,
} from "@nve/protocol-spec";
import { describe, expect, test } from "vitest";
import { survivesOrIsRefused } from "../../../support/damaged.ts";
import { hex, octets } from "../../../support/octets.ts";

const a = Mac("02:00:00:00:00:0a");
const TARGET = "fd000000000000000000000000000001";

describe("neighbour discovery", () => {
  const solicitation: Nd = {
    is: "solicitation",
    target: IpAddress("fd00::1"),
    solicited: false,
    override: false,
    linkLayer: a,
  };
  const advertisement: Nd = {
    ...solicitation,
    is: "advertisement",
    solicited: true,
    override: true,
  };
  const SOLICITATION = `87 00 0000 00000000 ${TARGET} 01 01 02000000000a`;
  const ADVERTISEMENT = `88 00 0000 60000000 ${TARGET} 02 01 02000000000a`;

  test.each([
    ["a solicitation, RFC 4861 §4.3", SOLICITATION, solicitation],
    ["an advertisement, RFC 4861 §4.4", ADVERTISEMENT, advertisement],
  ])("reads and writes %s", (_, wire, nd) => {
    expect(decode(octets(wire), readNd)).toEqual(nd);
    expect(hex(ndOctets(nd))).toBe(hex(octets(wire)));
  });

  test("the speaker's own option counts, the first of them; others are read past", () => {
    const other = "01 01 0200000000ff";
    const nonce = "0e 01 010203040506";
    const wire = `${ADVERTISEMENT.slice(0, -18)} ${other} ${nonce} 02 01 02000000000a 02 01 0200000000bb`;
    expect(decode(octets(wire), readNd).linkLayer).toBe(a);
  });

  test.each([
    ["the router's flag, a checksum and reserved bits", `88 00 beef e1234567 ${TARGET}`],
    ["an option that is cut off", `88 00 0000 60000000 ${TARGET} 02 01 0200`],
    ["an option's type alone", `88 00 0000 60000000 ${TARGET} 02`],
  ])("reads past %s", (_, wire) => {
    const { linkLayer: _mac, ...rest } = advertisement;
    expect(decode(octets(wire), readNd)).toEqual(rest);
  });

  test.each([
    ["unsupported", `85 00 0000 00000000 ${TARGET}`],
    ["unsupported", `87 01 0000 00000000 ${TARGET}`],
    ["bad-value", `87 00 0000 00000000 ${TARGET} 01 00 02000000000a`],
    ["short", `87 00 0000 00000000 ${TARGET.slice(2)}`],
  ])("%s: %s", (code, wire) => {
    expect(() => decode(octets(wire), readNd)).toThrow(expect.objectContaining({ code }));
  });

  test("damaged, survives the round trip or is refused", () => {
    survivesOrIsRefused(octets(ADVERTISEMENT), readNd, ndOctets);
  });
});

describe("DHCP", () => {
  const ack: Dhcp = {
    op: "reply",
    transaction: 0x3903f326,
    client: a,
    yourIp: IpAddress("10.0.0.7"),
    message: 5,
    leaseSeconds: 3600,
  };
  const nothing = "00".repeat(64 + 128);
  const FIXED = `02 01 06 00 3903f326 0000 8000 00000000 0a000007 0a0000fe 00000000 02000000000a ${"00".repeat(10)} ${nothing} 63825363`;
  const ACK = `${FIXED} 35 01 05 33 04 00000e10 ff`;

  test("reads an acknowledgement, RFC 2131 §2", () => {
    expect(decode(octets(ACK), readDhcp)).toEqual(ack);
  });
  test("writes what it reads", () => {
    expect(decode(dhcpOctets(ack), readDhcp)).toEqual(ack);
    expect(hex(dhcpOctets(ack)).slice(-24)).toBe(
      hex(octets("63825363 350105 330400000e10 ff")).slice(-24),
    );
  });
  test.each([
    ["other options and padding", `${FIXED} 00 00 36 04 0a0000fe 33 04 00000e10 35 01 05 ff 0000`],
    ["what is said twice", `${FIXED} 35 01 05 33 04 00000e10 35 01 06 33 04 00000001 ff`],
    ["an option that is cut off", `${FIXED} 35 01 05 33 04 00000e10 0c 40 6162`],
    ["an option's code alone", `${FIXED} 35 01 05 33 04 00000e10 0c`],
  ])("reads past %s", (_, wire) => {
    expect(decode(octets(wire), readDhcp)).toEqual(ack);
  });
  test("options of a wrong length say nothing", () => {
    const read = decode(octets(`${FIXED} 35 02 0505 33 02 0e10 ff`), readDhcp);
    expect([read.message, read.leaseSeconds]).toEqual([undefined, undefined]);
  });
  test.each([
    ["bad-value", ACK.replace("02 01 06", "03 01 06")],
    ["unsupported", ACK.replace("02 01 06", "02 06 06")],
    ["unsupported", ACK.replace("02 01 06", "02 01 08")],
    ["unsupported", ACK.replace("63825363", "63825364")],
    ["short", FIXED.slice(0, -2)],
  ])("%s", (code, wire) => {
    expect(() => decode(octets(wire), readDhcp)).toThrow(expect.objectContaining({ code }));
  });
  test("damaged, survives the round trip or is refused", () => {
    survivesOrIsRefused(octets(ACK), readDhcp, dhcpOctets);
  });
});

describe("DHCPv6", () => {
  const reply: Dhcp6 = {
    type: 7,
    transaction: 0x10874e,
    addresses: [{ ip: IpAddress("fd00::1"), validSeconds: 7200 }],
  };
  const ADDRESS = `0005 0018 ${TARGET} 00000e10 00001c20`;
  const REPLY = `07 10874e 0001 0003 010203 0003 0028 00000001 00000000 00000000 ${ADDRESS}`;

  test("reads a reply, RFC 8415 §8", () => {
    expect(decode(octets(REPLY), readDhcp6)).toEqual(reply);
  });
  test("writes what it reads", () => {
    expect(decode(dhcp6Octets(reply), readDhcp6)).toEqual(reply);
  });
  test("addresses outside of an association are nobody's", () => {
    expect(decode(octets(`07 10874e ${ADDRESS}`), readDhcp6).addresses).toEqual([]);
  });
  test.each([
    ["an association", REPLY.slice(0, -2)],
    ["its option", REPLY.slice(0, -40)],
    ["an option's head", `${REPLY.slice(0, 9)} 0003`],
  ])("%s that is cut off is left out", (_, wire) => {
    expect(decode(octets(wire), readDhcp6).addresses).toEqual([]);
  });
  test("an association too short for anything is left out", () => {
    const wire = `07 10874e 0003 0004 00000001 0003 000c ${"00".repeat(12)}`;
    expect(decode(octets(wire), readDhcp6).addresses).toEqual([]);
  });
  test("short", () => {
    const short = expect.objectContaining({ code: "short" });
    expect(() => decode(octets("07 1087"), readDhcp6)).toThrow(short);
  });
  test("damaged, survives the round trip or is refused", () => {
    survivesOrIsRefused(octets(REPLY), readDhcp6, dhcp6Octets);
  });
});
