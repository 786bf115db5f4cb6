import {
  attribute,
  cString,
  hostUint,
  isUp,
  linkChangeOctets,
  messageOctets,
  nested,
  readAddress,
  readAttributes,
  readCString,
  readHostUint,
  readLink,
  readMessages,
  vxlanExternalOctets,
} from "@nve/linux";
import { concat, DecodeError } from "@nve/protocol-spec";
import fc from "fast-check";
import { expect, test } from "vitest";
import { damaged } from "../../support/damaged.ts";
import { hex, octets } from "../../support/octets.ts";

// as `ip link show lo` and `ip link show type veth` had them from a little-endian kernel
const LINK = octets(`
  0000 0100 08000000 43100100 00000000
  0b00 0300 7665746830 3100 00
  0800 0400 dc050000
  0800 0a00 07000000
  0a00 0100 02fc00000001 0000
  1000 1200 0900 0100 76657468 00 000000`);

test("reads an interface", () => {
  expect(readLink(LINK)).toEqual({
    index: 8,
    name: "veth01",
    flags: 0x11043,
    mtu: 1500,
    master: 7,
    mac: "02:fc:00:00:00:01",
    kind: "veth",
  });
});

test("H15: knows the other end of a veth, if that is in the same namespace", () => {
  const end = octets("0800 0500 09000000");
  const elsewhere = octets("0800 2500 00000000");
  expect(readLink(concat(LINK, end)).peer).toBe(9);
  expect(readLink(concat(LINK, end, elsewhere)).peer).toBeUndefined();
  const vlan = concat(
    octets("0000 0100 08000000 43100100 00000000 0b00 0300 7665746830 3100 00"),
    end,
  );
  expect(readLink(vlan).peer, "of another kind it is the device below").toBeUndefined();
});

test("an interface is up when it is set up and has carrier", () => {
  const link = readLink(LINK);
  expect(isUp(link)).toBe(true);
  expect(isUp({ ...link, flags: 0x10000 })).toBe(false);
  expect(isUp({ ...link, flags: 0x1 | 0x40 })).toBe(false);
});

test("an interface without a name is no interface", () => {
  expect(() => readLink(LINK.subarray(0, 16))).toThrow(DecodeError);
});

test("an interface change says only what is to change", () => {
  expect(hex(linkChangeOctets(5, {}))).toBe("00000000050000000000000000000000");
  expect(hex(linkChangeOctets(5, { up: false }))).toBe("00000000050000000000000001000000");
  expect(hex(linkChangeOctets(5, { up: true, mtu: 1600 }))).toBe(
    "00000000050000000100000001000000 0800040040060000".replace(" ", ""),
  );
  expect(hex(linkChangeOctets(5, { linkLocal: false }))).toBe(
    "00000000050000000000000000000000 10001a80 0c000a80 0500080001000000".replaceAll(" ", ""),
  );
});

test("a VXLAN device has the ports of RFC 7348 unless told otherwise", () => {
  const data = (body: Uint8Array) => {
    const info = readAttributes(readAttributes(body.subarray(16)).get(18) ?? new Uint8Array());
    expect(readCString(info.get(1) ?? new Uint8Array())).toBe("vxlan");
    const attributes = readAttributes(info.get(2) ?? new Uint8Array());
    return Object.fromEntries([...attributes].map(([type, value]) => [type, hex(value)]));
  };
  expect(data(vxlanExternalOctets({ name: "v" }))).toEqual({
    25: "01",
    7: "00",
    15: "12b5",
    10: "c000ffff",
    20: "01",
  });
  expect(data(vxlanExternalOctets({ name: "v", port: 8472 }))).toMatchObject({ 15: "2118" });
});

test("reads addresses of both families, the own one of a point-to-point interface", () => {
  const of = (head: string, ...attributes: Uint8Array[]) =>
    readAddress(Uint8Array.from([...octets(head), ...attributes.flatMap((each) => [...each])]));
  const v4 = of(
    "02180000 03000000",
    attribute(1, octets("c0000201")),
    attribute(2, octets("c0000202")),
  );
  expect(v4).toEqual({ index: 3, address: "192.0.2.2", prefixLength: 24 });
  const v6 = of("0a400000 03000000", attribute(1, octets("20010db8000000000000000000000001")));
  expect(v6).toEqual({ index: 3, address: "2001:db8::1", prefixLength: 64 });
  expect(of("1c000000 03000000", attribute(1, octets("00")))).toBeUndefined();
});

test("messages and attributes are padded to 4 octets and come back as they were", () => {
  const message = { type: 16, flags: 5, seq: 7, body: nested(18, attribute(1, cString("vxlan"))) };
  const two = Uint8Array.from([
    ...messageOctets(message),
    ...messageOctets({ ...message, seq: 8 }),
  ]);
  const [first, second, ...more] = readMessages(two);
  expect([first?.seq, second?.seq, more]).toEqual([7, 8, []]);
  const outer = readAttributes(first?.body ?? new Uint8Array()).get(18) ?? new Uint8Array();
  expect(readCString(readAttributes(outer).get(1) ?? new Uint8Array())).toBe("vxlan");
});

test("numbers are in the host's order", () => {
  expect(readHostUint(hostUint(4, 0xfffffffe))).toBe(0xfffffffe);
  expect(readHostUint(hostUint(2, 4789))).toBe(4789);
  expect(readHostUint(Uint8Array.of(9))).toBe(9);
  expect(() => readHostUint(Uint8Array.of(1, 2, 3))).toThrow(DecodeError);
});

test("damaged messages give messages or a DecodeError, and end", () => {
  const good = messageOctets({ type: 16, flags: 2, seq: 1, body: LINK });
  fc.assert(
    fc.property(damaged(good), (bad) => {
      try {
        for (const { body } of readMessages(bad)) readLink(body);
      } catch (error) {
        expect(error).toBeInstanceOf(DecodeError);
      }
    }),
  );
});
