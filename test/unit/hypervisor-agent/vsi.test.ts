import type { Tree } from "@nve/hypervisor-agent/stations/tree";
import {
  associateOf,
  batched,
  fitsOneMessage,
  ipTlvs,
  MAX_ULPDU,
} from "@nve/hypervisor-agent/stations/vsi";
import { decode, IpAddress, Mac, readVdpdu, Uuid, VnId, vdpduOctets } from "@nve/protocol-spec";
import fc from "fast-check";
import { describe, expect, test } from "vitest";

const vnic = Uuid("aaaaaaaa-0000-4000-8000-00000000000a");
const vdp = { manager: new Uint8Array(16), typeId: 0, typeVersion: 1 };
const pair = (n: number, ips: readonly string[] = []): Tree[number] => ({
  vn: VnId(n + 1),
  macs: [
    { mac: Mac(`02:00:00:00:00:${n.toString(16).padStart(2, "0")}`), ips: ips.map(IpAddress) },
  ],
});
const ipv4 = (n: number) => Array.from({ length: n }, (_, i) => `10.0.0.${i}`);
const ipv6 = (n: number) => Array.from({ length: n }, (_, i) => `fd00::${(i + 1).toString(16)}`);

describe("fitsOneMessage", () => {
  test.each([
    ["97 IPv4 addresses", ipv4(97), ipv4(98)],
    ["52 IPv6 addresses", ipv6(52), ipv6(53)],
  ])("%s fit beside one pair of VN and MAC, one more does not", (_, most, tooMany) => {
    expect(fitsOneMessage(vnic, [pair(0, most)], vdp)).toBeUndefined();
    expect(fitsOneMessage(vnic, [pair(0, tooMany)], vdp)).toMatch(/too many IP addresses/);
  });
});

test("batched: every ULPDU fits, can be read, and nothing is lost or out of order", () => {
  const sizes = fc.array(
    fc.record({ pairs: fc.integer({ min: 1, max: 40 }), ips: fc.nat({ max: 20 }) }),
    {
      minLength: 1,
      maxLength: 30,
    },
  );
  fc.assert(
    fc.property(sizes, (all) => {
      const messages = all.map(({ pairs, ips }, n) => {
        const name = Uuid(`aaaaaaaa-0000-4000-8000-${n.toString(16).padStart(12, "0")}`);
        const tree = Array.from({ length: pairs }, (_, i) => pair(i, i === 0 ? ipv4(ips) : []));
        const { type, association } = associateOf(name, tree, new Map(), vdp);
        const tlv = { is: "association" as const, type, association };
        return { vnic: name, tlvs: [tlv, ...ipTlvs(name, tree)] };
      });
      const batches = batched(messages, vdp.manager);
      expect(batches.flatMap(({ vnics }) => vnics)).toEqual(messages.map((one) => one.vnic));
      const read = batches.flatMap(({ vdpdu }) => {
        const octets = vdpduOctets(vdpdu);
        expect(octets.length).toBeLessThanOrEqual(MAX_ULPDU);
        return decode(octets, readVdpdu).tlvs;
      });
      expect(read).toEqual(messages.flatMap(({ tlvs }) => tlvs));
    }),
    { numRuns: 50 },
  );
});
