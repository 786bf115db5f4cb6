import {
  DecodeError,
  decode,
  type Ecpdu,
  EtherType,
  ecpduOctets,
  type Frame,
  findEvbTlv,
  frameOctets,
  type Lldpdu,
  lldpduOctets,
  readAddresses,
  readEcpdu,
  readFrame,
  readLldpdu,
  readVdpdu,
  type Vdpdu,
  vdpduOctets,
} from "@nve/protocol-spec";
import { describe, expect, test } from "vitest";
import { hex } from "../../../support/octets.ts";
import { capture, captureNames } from "../../../support/pcap.ts";

/** Frames that were made wrong on purpose (test/captures/README.md), by their number in the file, from 1. */
const wrong: Record<string, Record<number, string>> = {
  "42-vdp-bridge-deassoc-odd-replies.pcap": {
    60: "bad-value", // no manager TLV
    64: "bad-value", // two entries where the count says one
    86: "unsupported", // ECP version 2
  },
  "43-vdp-match-rules.pcap": { 66: "bad-value" }, // no entries
  "45-lldpad-as-bridge.pcap": {
    52: "unsupported", // filter info format 5
    58: "bad-value", // VID 4095
    60: "bad-value", // and the answer that repeats it
    66: "bad-value", // no entries
    88: "bad-value", // no manager TLV
    90: "bad-value", // two of them
  },
};

/** The one frame with a reserved bit set (bit 8 of the status): read past, so written back as 0. */
const reservedBit = { name: "41-vdp-error-responses.pcap", number: 64, from: "c0", to: "40" };

type Layers = { frame: Frame; lldpdu?: Lldpdu; ecpdu?: Ecpdu; vdpdu?: Vdpdu };

function layers(octets: Uint8Array): Layers {
  const frame = decode(octets, readFrame);
  if (frame.etherType === EtherType.lldp) {
    return { frame, lldpdu: decode(frame.payload, readLldpdu) };
  }
  const ecpdu = decode(frame.payload, readEcpdu);
  if (ecpdu.op === "ack") return { frame, ecpdu };
  return { frame, ecpdu, vdpdu: decode(ecpdu.ulpdu, readVdpdu) };
}

/** From the innermost outwards, from values alone. */
function written({ frame, lldpdu, ecpdu, vdpdu }: Layers): string {
  if (lldpdu !== undefined) return hex(frameOctets({ ...frame, payload: lldpduOctets(lldpdu) }));
  if (ecpdu === undefined) return hex(frameOctets(frame));
  const ulpdu = vdpdu === undefined ? ecpdu.ulpdu : vdpduOctets(vdpdu);
  return hex(frameOctets({ ...frame, payload: ecpduOctets({ ...ecpdu, ulpdu }) }));
}

const names = captureNames();

test("all captures are there", () => {
  expect(names).toHaveLength(22);
});

describe.each(names)("%s", (name) => {
  test("every frame reads and is written the same again, or is wrong on purpose", () => {
    capture(name).forEach(({ octets }, i) => {
      const where = `frame ${i + 1}`;
      const code = wrong[name]?.[i + 1];
      if (code !== undefined) {
        expect(() => layers(octets), where).toThrow(DecodeError);
        expect(() => layers(octets), where).toThrow(expect.objectContaining({ code }));
        return;
      }
      const again = written(layers(octets));
      const padding = hex(octets).slice(again.length);
      expect(padding, where).toMatch(/^(00)*$/);
      expect(again + padding, where).toBe(expected(name, i + 1, hex(octets)));
    });
  });
});

function expected(name: string, number: number, wire: string): string {
  if (name !== reservedBit.name || number !== reservedBit.number) return wire;
  const at = 2 * (14 + 4 + 18 + 2); // Ethernet, ECP, manager TLV, header of the association TLV
  expect(wire.slice(at, at + 2)).toBe(reservedBit.from);
  return wire.slice(0, at) + reservedBit.to + wire.slice(at + 2);
}

test("01: the EVB TLVs of both sides grow into agreement", () => {
  const rows = capture("01-evb-lldpad-to-lldpad.pcap")
    .slice(0, 5)
    .map(({ octets }) => findEvbTlv(layers(octets).lldpdu?.tlvs ?? []));
  expect(rows.map((evb) => [evb?.mode, evb?.station.reflectiveRelay, evb?.bridge])).toEqual([
    [2, 3, { groupId: false, reflectiveRelayCapable: false, reflectiveRelay: false }],
    [1, 0, { groupId: true, reflectiveRelayCapable: true, reflectiveRelay: false }],
    [2, 0, { groupId: true, reflectiveRelayCapable: true, reflectiveRelay: false }],
    [1, 0, { groupId: true, reflectiveRelayCapable: true, reflectiveRelay: true }],
    [2, 1, { groupId: true, reflectiveRelayCapable: true, reflectiveRelay: true }],
  ]);
});

test("23: two null VIDs come back as 200 and 201", () => {
  const [, answer] = capture("23-vdp-fmt4-null-vid.pcap")
    .map(({ octets }) => layers(octets).vdpdu?.tlvs[0])
    .filter((tlv) => tlv?.is === "association");
  expect(answer).toMatchObject({
    type: "pre-associate",
    association: {
      status: { is: "response", keep: false, hard: false, code: 0 },
      filters: { by: "group-mac-vid", entries: [{ vid: 200 }, { vid: 201 }] },
    },
  });
});

test("50: lldpad's Cisco TLV with an IPv4 address is understood, the one with the VM's name is kept", () => {
  const organizational = capture("50-cisco-org-tlv.pcap")
    .flatMap(({ octets }) => layers(octets).vdpdu?.tlvs ?? [])
    .filter((tlv) => tlv.is === "organizational");
  expect(organizational.some(({ subtype }) => subtype === 0xf1)).toBe(true);
  const addresses = organizational.flatMap((tlv) => readAddresses(tlv)?.entries ?? []);
  expect(new Set(addresses.map(({ ip }) => ip))).toEqual(new Set(["10.1.2.3", "10.1.2.4"]));
});
