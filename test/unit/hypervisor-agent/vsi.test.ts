import { hashText, saidOf, unsayable } from "@nve/hypervisor-agent/stations/set";
import type { Tree } from "@nve/hypervisor-agent/stations/tree";
import { associateOf, batched, MAX_ULPDU, taggedIn } from "@nve/hypervisor-agent/stations/vsi";
import {
  decode,
  type ExtensionKind,
  hashOfSet,
  IpAddress,
  IpPrefix,
  Mac,
  macsOf,
  membersOfSet,
  prefixesOf,
  readVdpdu,
  Uuid,
  Vid,
  VnId,
  vdpduOctets,
  vsiIdOf,
} from "@nve/protocol-spec";
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
const macOf = (n: number): Mac => Mac(`02:00:00:00:00:${n.toString(16).padStart(2, "0")}`);
const bridge = (count: number): Tree[number] => ({
  vn: VnId(1),
  macs: Array.from({ length: count }, (_, n) => ({ mac: macOf(n), ips: [] })),
});
const ipv4 = (n: number) => Array.from({ length: n }, (_, i) => `10.0.0.${i}`);
const ipv6 = (n: number) => Array.from({ length: n }, (_, i) => `fd00::${(i + 1).toString(16)}`);

const speaker = (...reads: ExtensionKind[]) => ({ vnic, vdp, reads: new Set(reads) });

describe("what one message holds, for an NVE that knows no sets", () => {
  test.each([
    ["95 IPv4 addresses", ipv4(95), ipv4(96)],
    ["51 IPv6 addresses", ipv6(51), ipv6(52)],
  ])("%s fit beside one pair of VN and MAC, one more does not", (_, most, tooMany) => {
    const all = speaker("addresses", "prefixes");
    expect(unsayable(all, [pair(0, most)])).toBeUndefined();
    expect(unsayable(all, [pair(0, tooMany)])).toMatch(/too many IP addresses.*does not know sets/);
    expect(unsayable(speaker(), [pair(0, tooMany)])).toBeUndefined(); // it is told none
    expect(unsayable(speaker("addresses", "sets"), [pair(0, tooMany)])).toBeUndefined();
  });

  test("H12: 40 pairs of VN and MAC, and not 41", () => {
    expect(unsayable(speaker("addresses"), [bridge(40)])).toBeUndefined();
    expect(unsayable(speaker("addresses"), [bridge(41)])).toMatch(/41 pairs .* holds 40/);
    expect(unsayable(speaker("sets"), [bridge(41)])).toBeUndefined();
  });
});

describe("H12: a VN with more MACs than the filter entries hold", () => {
  test("has one entry, the others beside the request, and all have its tag", () => {
    const tree = [bridge(100), pair(7)];
    const { association } = associateOf(vnic, tree, new Map(), vdp);
    expect(association.filters.entries).toMatchObject([{ groupId: 1 }, { groupId: 8 }]);
    const said = saidOf(speaker("sets"), tree);
    expect(said.parts).toEqual([]);
    expect(macsOf(vsiIdOf(vnic), said.beside)).toHaveLength(99);
    const granted = [
      { vn: VnId(1), mac: macOf(0), vid: Vid(100) },
      { vn: VnId(8), mac: macOf(7), vid: Vid(101) },
    ];
    const tagged = taggedIn(tree, granted);
    expect(tagged).toHaveLength(101);
    expect(new Set(tagged.map(({ vn, vid }) => `${vn} ${vid}`))).toEqual(
      new Set(["1 100", "8 101"]),
    );
  });
});

describe("H8: what is too long for one message", () => {
  const prefixes = Array.from({ length: 1000 }, (_, i) =>
    i % 2 === 0 ? `10.${i >> 8}.${i & 255}.0/24` : `fd00:${i.toString(16)}::/64`,
  );
  const tree: Tree = [{ vn: VnId(1), macs: [{ mac: macOf(0), ips: prefixes.map(IpPrefix) }] }];

  test("is named by its hash, and its parts say all of it", () => {
    const said = saidOf(speaker("addresses", "prefixes", "sets"), tree);
    expect(said.beside).toHaveLength(1);
    const sizes = said.parts.map((tlvs) => vdpduOctets({ manager: vdp.manager, tlvs }).length);
    expect(Math.max(...sizes)).toBeLessThanOrEqual(MAX_ULPDU);
    expect(sizes.length).toBeLessThanOrEqual(17);
    const vsiId = vsiIdOf(vnic);
    const members = said.parts.map((tlvs) => membersOfSet(vsiId, tlvs));
    expect(said.hash).toBe(hashText(hashOfSet(members)));
    const ips = members.flatMap((tlvs) => prefixesOf(vsiId, tlvs)).map(({ ip }) => ip);
    expect(ips).toEqual(prefixes);
  });

  test("is the same for the same content, and another for another", () => {
    const all = speaker("addresses", "prefixes", "sets");
    const { hash } = saidOf(all, tree);
    expect(saidOf(all, structuredClone(tree)).hash).toBe(hash);
    const fewer = tree.map(({ vn, macs: [one] }) => ({
      vn,
      macs: [{ mac: macOf(0), ips: one?.ips.slice(1) ?? [] }],
    }));
    expect(saidOf(all, fewer).hash).not.toBe(hash);
    expect(saidOf(speaker("addresses", "sets"), tree).hash).toBeUndefined(); // it reads no prefixes
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
        const said = saidOf({ ...speaker("addresses"), vnic: name }, tree);
        return { vnic: name, tlvs: [tlv, ...said.beside] };
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

test("batched: no ULPDU has two messages of one VSI, and nobody waits for a part", () => {
  const said = saidOf(speaker("sets"), [bridge(255)]);
  const messages = said.parts.map((tlvs) => ({ vnic, tlvs, part: true as const }));
  const named = { vnic, tlvs: said.beside };
  const batches = batched([...messages, named], vdp.manager);
  expect(batches.map(({ vnics }) => vnics)).toEqual([...messages.map(() => []), [vnic]]);
});
