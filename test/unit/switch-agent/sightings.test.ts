import { DecodeError, EtherType, frameOctets, Mac } from "@nve/protocol-spec";
import { sightingsOf } from "@nve/switch-agent/nve";
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { damaged } from "../../support/damaged.ts";
import { broadcast } from "../../support/frames.ts";
import {
  advertisementFrom,
  arpFrom,
  dhcp6Reply,
  dhcpAck,
  solicitationFrom,
} from "../../support/sighted.ts";

const a = Mac("02:00:00:00:00:0a");
const b = Mac("02:00:00:00:00:0b");

describe("what a frame says of who has which IP (H16)", () => {
  test.each([
    ["ARP: its sender", arpFrom(a, "10.0.0.1"), [{ by: "arp", mac: a, ip: "10.0.0.1" }]],
    [
      "an advertisement: its target",
      advertisementFrom(a, "fd00::1"),
      [{ by: "nd", mac: a, ip: "fd00::1" }],
    ],
    [
      "a solicitation: who sends it, not whom it asks for",
      solicitationFrom(a, "fe80::a", "fd00::1"),
      [{ by: "nd", mac: a, ip: "fe80::a" }],
    ],
    [
      "a DHCP server's acknowledgement: the client, for the lease",
      dhcpAck(b, a, "10.0.0.7", 60),
      [{ by: "dhcp", mac: a, ip: "10.0.0.7", leaseMs: 60_000 }],
    ],
    [
      "a lease for ever",
      dhcpAck(b, a, "10.0.0.7", 0xffff_ffff),
      [{ by: "dhcp", mac: a, ip: "10.0.0.7", leaseMs: Number.POSITIVE_INFINITY }],
    ],
    [
      "a DHCPv6 server's reply: whom it goes to",
      dhcp6Reply(b, a, "fd00::7", 60),
      [{ by: "dhcp", mac: a, ip: "fd00::7", leaseMs: 60_000 }],
    ],
  ])("%s", (_, frame, said) => {
    expect(sightingsOf(frame).said).toEqual(said);
  });

  test.each([
    ["ARP in another's name", arpFrom(a, "10.0.0.1", b)],
    ["an ARP probe, which has no sender yet (RFC 5227 §2.1)", arpFrom(a, "0.0.0.0")],
    ["ARP of a loopback address", arpFrom(a, "127.0.0.1")],
    ["ARP of a group", arpFrom(a, "224.0.0.1")],
    ["ARP of the broadcast address", arpFrom(a, "255.255.255.255")],
    ["an advertisement of a group", advertisementFrom(a, "ff02::1")],
    ["an advertisement of the loopback address", advertisementFrom(a, "::1")],
    [
      "an advertisement from beyond a router (RFC 4861 §7.1.2)",
      advertisementFrom(a, "fd00::1", 254),
    ],
    ["a test for duplicates", solicitationFrom(a, "::", "fd00::1")],
    ["an offer", dhcpAck(b, a, "10.0.0.7", 60, 2)],
    ["a refusal", dhcpAck(b, a, "10.0.0.7", 60, 6)],
    ["an acknowledgement without an address", dhcpAck(b, a, "0.0.0.0", 60)],
    ["a reply that takes the address back", dhcp6Reply(b, a, "fd00::7", 0)],
    [
      "another EtherType",
      frameOctets({
        destination: broadcast,
        source: a,
        etherType: 0x8035,
        payload: new Uint8Array(46),
      }),
    ],
  ])("nothing: %s", (_, frame) => {
    expect(sightingsOf(frame).said).toEqual([]);
  });

  test("an acknowledgement that is cut off in its options says what is left of them", () => {
    const frame = dhcpAck(b, a, "10.0.0.7", 60);
    expect(sightingsOf(frame.subarray(0, frame.length - 1)).said).toHaveLength(1);
    expect(sightingsOf(frame.subarray(0, frame.length - 3)).said).toEqual([]); // in the lease
  });

  test("whatever comes, it is read or it is the sender's fault", () => {
    const good = [
      arpFrom(a, "10.0.0.1"),
      advertisementFrom(a, "fd00::1"),
      dhcpAck(b, a, "10.0.0.7", 60),
      dhcp6Reply(b, a, "fd00::7", 60),
      frameOctets({
        destination: b,
        source: a,
        etherType: EtherType.ipv4,
        payload: new Uint8Array(60),
      }),
    ];
    const wrong = fc.oneof(...good.map(damaged), fc.uint8Array({ maxLength: 384 }));
    fc.assert(
      fc.property(wrong, (octets) => {
        try {
          expect(sightingsOf(octets).said.length).toBeLessThan(20);
        } catch (error) {
          if (!(error instanceof DecodeError)) throw error;
        }
      }),
      { numRuns: 1000 },
    );
  });
});
