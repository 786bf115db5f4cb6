import type { Tree } from "@nve/hypervisor-agent/stations/tree";
import type { BookAction } from "@nve/hypervisor-agent/stations/turn";
import {
  type ExtensionKind,
  IpPrefix,
  readSet,
  VdpError,
  VnId,
  type VsiSet,
} from "@nve/protocol-spec";
import { expect, test } from "vitest";
import {
  agreed,
  answer,
  binds,
  bookAt,
  firstAssociation,
  macA,
  outcomes,
  sent,
  vnicA,
  vnicMac,
} from "./book.ts";

// What a VNIC has is more than one VDP message holds.

const knowing: ExtensionKind[] = ["addresses", "prefixes", "sets"];
const router = (count: number): Tree => [
  {
    vn: VnId(5),
    macs: [
      {
        mac: macA,
        ips: Array.from({ length: count }, (_, i) => IpPrefix(`10.${i >> 8}.${i & 255}.0/24`)),
      },
    ],
  },
];
const bridge = (count: number): Tree => [
  {
    vn: VnId(5),
    macs: Array.from({ length: count }, (_, i) => ({
      mac: vnicMac(i.toString(16).padStart(2, "0")),
      ips: [],
    })),
  },
];

/** The set TLVs that were sent, in their order. */
const setsIn = (actions: readonly BookAction[]): VsiSet[] =>
  actions
    .flatMap((action) => (action.do === "send" ? action.vdpdu.tlvs : []))
    .flatMap((tlv) => (tlv.is === "organizational" ? (readSet(tlv) ?? []) : []));

function started(...reads: ExtensionKind[]) {
  const it = bookAt();
  it.at(0, { on: "peer", evb: agreed, reads: new Set(reads) });
  return it;
}

const asked = (set: VsiSet | undefined) => ({
  on: "set-asked" as const,
  vnic: vnicA,
  hash: Buffer.from(set?.hash ?? []).toString("hex"),
});

test("the request names the set; asked for it, the station says all parts and the request again", () => {
  const it = started(...knowing);
  const first = it.attach(1, 1, router(500));
  const [name] = setsIn(first);
  expect(name).toMatchObject({ part: 0 });
  const said = it.at(2, asked(name));
  const parts = setsIn(said).map(({ part }) => part);
  expect(parts).toEqual([...Array.from({ length: name?.parts ?? 0 }, (_, i) => i + 1), 0]);
  expect(sent(said).flat()).toEqual(sent(first).flat());
  expect(outcomes(it.at(3, answer(firstAssociation(first))))).toEqual([{ do: "done", call: 1 }]);
});

test("in a keepalive, too, and with nothing under way it says nothing", () => {
  const it = started(...knowing);
  const request = it.attach(1, 1, router(500));
  const [name] = setsIn(request);
  it.at(2, answer(firstAssociation(request)));
  expect(it.at(3, asked(name))).toEqual([]);
  const keepalive = it.at(11_000, { on: "tick" });
  expect(setsIn(keepalive)).toMatchObject([{ part: 0, hash: name?.hash }]);
  expect(setsIn(it.at(11_001, asked(name))).length).toBeGreaterThan(2);
});

test("an NVE that asks for ever, or for another set, is not told for ever", () => {
  const it = started(...knowing);
  const [name] = setsIn(it.attach(1, 1, router(500)));
  const told = [2, 3, 4, 5, 6].map((ms) => setsIn(it.at(ms, asked(name))).length > 0);
  expect(told).toEqual([true, true, true, false, false]);
  const other = started(...knowing);
  const [set] = setsIn(other.attach(1, 1, router(500)));
  expect(other.at(2, asked(set && { ...set, hash: new Uint8Array(8) }))).toEqual([]);
});

test("H12: of 100 MACs one is in the request, and all are bound when it is granted", () => {
  const it = started(...knowing);
  const request = it.attach(1, 1, bridge(100));
  expect(sent(request).flat()[0]?.entries).toHaveLength(1);
  it.at(2, answer(firstAssociation(request)));
  expect(it.tags()).toHaveLength(100);
  expect(new Set(it.tags()?.map(([, vid]) => vid))).toEqual(new Set([105]));
});

test.each([
  ["500 prefixes", router(500), /too many IP addresses and prefixes .* does not know sets/],
  ["41 MACs", bridge(41), /41 pairs of VN and MAC .* does not know sets/],
])("to an NVE that knows no sets %s are not said, and the operator is told why", (_, tree, why) => {
  const it = started("addresses", "prefixes");
  const actions = it.attach(1, 1, tree);
  expect(sent(actions)).toEqual([]);
  expect(outcomes(actions)).toEqual([
    { do: "failed", call: 1, reason: expect.stringMatching(why) },
  ]);
  expect(it.state()).toBeUndefined();
});

test("before an NVE is there nobody knows what it takes: it is found out when it is there", () => {
  const it = bookAt({ ready: false });
  expect(outcomes(it.attach(1, 1, router(500)))).toEqual([]);
  const actions = it.at(2, { on: "peer", evb: agreed, reads: new Set(["addresses", "prefixes"]) });
  expect(outcomes(actions)).toMatchObject([{ do: "failed", call: 1 }]);
});

test("a change that the NVE cannot take leaves the VNIC as it was", () => {
  const it = started("addresses", "prefixes");
  it.at(2, answer(firstAssociation(it.attach(1, 1, router(10)))));
  const actions = it.change(3, 2, router(500));
  expect(outcomes(actions)).toMatchObject([{ do: "failed", call: 2 }]);
  expect(it.book.vnics.get(vnicA)?.wanted).toEqual(router(10));
  expect(it.state()).toBe("associated");
});

test("another NVE, which knows no sets: the VNIC is out of the virtual switch, and says why", () => {
  const it = started(...knowing);
  it.at(2, answer(firstAssociation(it.attach(1, 1, bridge(100)))));
  it.at(3, { on: "peer", evb: { ...agreed, peer: false }, reads: new Set(knowing) });
  const actions = it.at(4, { on: "peer", evb: agreed, reads: new Set(["addresses"]) });
  expect(binds(actions)).toBe(true);
  expect(sent(actions)).toEqual([]);
  expect([it.state(), it.tags()]).toEqual(["refused", undefined]);
  expect(it.reason()).toMatch(/does not know sets/);
});

test("a set that is refused leaves what was before", () => {
  const it = started(...knowing);
  it.at(2, answer(firstAssociation(it.attach(1, 1, router(10)))));
  const request = firstAssociation(it.change(3, 2, router(500)));
  const code = VdpError.insufficientResources;
  const actions = it.at(4, answer(request, { code, keep: true }));
  expect(outcomes(actions)).toMatchObject([{ do: "failed", call: 2 }]);
  expect(it.book.vnics.get(vnicA)?.granted?.tree).toEqual(router(10));
});
