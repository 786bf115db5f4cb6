import { treeFrom, vnicOf } from "@nve/hypervisor-agent/convert";
import {
  faultOf,
  GuestTag,
  leaves,
  minus,
  plus,
  resolved,
  type Tree,
} from "@nve/hypervisor-agent/stations/tree";
import type { BookAction } from "@nve/hypervisor-agent/stations/turn";
import { bindingsOf } from "@nve/hypervisor-agent/stations/vnic";
import {
  IpAddress,
  type Mac,
  OutOfRange,
  placeholder,
  Uuid,
  Vid,
  VnId,
  vdpduOctets,
} from "@nve/protocol-spec";
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import {
  agreed,
  answer,
  binds,
  bookAt,
  firstAssociation,
  macA,
  macB,
  outcomes,
  sent,
  treeOf,
  vnicA,
  vnicB,
} from "./book.ts";

/** VN `vn` by guest tag `tag`; 0: untagged. */
const trunk = (vn: number, tag: number, mac: Mac = macA): Tree =>
  treeOf(vn, mac).map((node) => ({ ...node, ...(tag !== 0 && { guestTag: GuestTag(tag) }) }));
const both = plus(trunk(5, 10), trunk(6, 20));
const name = Uuid("cccccccc-0000-4000-8000-000000005001");
const byName = (tag: number, mac: Mac): Tree =>
  trunk(1, tag, mac).map((node) => ({ ...node, vn: name }));

describe("H10: the tree", () => {
  test("has one MAC in several VNs where the guest tags differ", () => {
    expect(faultOf(both)).toBeUndefined();
    expect(faultOf(plus(both, trunk(7, 0)))).toBeUndefined();
  });

  test("tells two VNs of one guest tag apart by their MACs, as of untagged frames (H6)", () => {
    expect(faultOf(plus(trunk(5, 10), trunk(6, 10, macB)))).toBeUndefined();
  });

  test("cannot have one MAC in two VNs by the same guest tag", () => {
    expect(faultOf(plus(both, trunk(7, 10)))).toMatch(
      /two VNs \(5 and 7\) .*: frames with guest tag 10 could not be told apart/,
    );
  });

  test("cannot have a VN by two guest tags, and says what to do", () => {
    expect(faultOf(plus(both, trunk(5, 11, macB)))).toMatch(
      /^VN 5 is on this VNIC with guest tag 10 and cannot be there with guest tag 11 too: remove the VN first/,
    );
    expect(faultOf(plus(treeOf(5), trunk(5, 11, macB)))).toMatch(/untagged .* with guest tag 11/);
  });

  test("adds to a VN by the guest tag that it has, when none is said", () => {
    expect(plus(both, treeOf(6, macB))).toEqual([
      ...trunk(5, 10),
      { ...trunk(6, 20)[0], macs: [macA, macB].map((mac) => ({ mac, ips: [] })) },
    ]);
  });

  test("H7: loses a VN, a MAC or an IP of a guest tag and nothing else", () => {
    expect(minus(both, { vn: VnId(5) })).toEqual(trunk(6, 20));
    const two = plus(both, trunk(6, 20, macB));
    expect(minus(two, { vn: VnId(6), mac: macB })).toEqual(both);
    const ip = IpAddress("10.0.0.1");
    const withIp = plus(both, [{ vn: VnId(6), macs: [{ mac: macA, ips: [ip] }] }]);
    expect(minus(withIp, { vn: VnId(6), mac: macA, ip })).toEqual(both);
  });

  test("H4: keeps the guest tag when a VN Name gives way to the VN ID", () => {
    const named = plus(both, byName(30, macB));
    expect(resolved(named, new Map([[name, VnId(9)]]))).toEqual([
      ...both,
      { ...trunk(9, 30, macB)[0], name },
    ]);
    expect(faultOf(resolved(named, new Map([[name, VnId(5)]])))).toMatch(/guest tag 10 .* 30/);
    const again = plus(resolved(byName(30, macB), new Map([[name, VnId(5)]])), byName(31, macA));
    expect(faultOf(again)).toMatch(/VN cccc.* with guest tag 30 .* 31/);
  });

  test("keeps every leaf's guest tag, in whatever order it is made", () => {
    const leaf = fc.record({ vn: fc.integer({ min: 1, max: 4 }), last: fc.nat({ max: 3 }) });
    fc.assert(
      fc.property(fc.array(leaf), (all) => {
        const made = all
          .map(({ vn, last }) => trunk(vn, vn * 10, `02:00:00:00:00:0${last}` as Mac))
          .reduce(plus, []);
        expect(leaves(made).every(({ vn, guestTag }) => Number(vn) * 10 === guestTag)).toBe(true);
        expect(made.length === 0 || faultOf(made) === undefined).toBe(true);
      }),
    );
  });
});

describe("GuestTag", () => {
  test.each([1, 4094])("%s is one", (n) => {
    expect(GuestTag(n)).toBe(n);
  });

  test.each([0, 4095, -1, 1.5, Number.NaN])("%s is none", (n) => {
    expect(() => GuestTag(n)).toThrow(OutOfRange);
  });
});

test("H10: guest tags come from the API and go back to it", () => {
  const attachment = { vnId: 5, vnName: "", guestTag: 10, macs: [{ mac: macA, ips: [] }] };
  const tree = treeFrom([attachment, { ...attachment, vnId: 6, guestTag: 0 }]);
  expect(tree).toEqual(plus(trunk(5, 10), treeOf(6)));
  const shown = vnicOf({
    vnic: vnicA,
    interface: "tap0",
    pinned: undefined,
    over: new Map([[VnId(5), "eth0"]]),
    state: "associated",
    reason: undefined,
    vm: undefined,
    tree,
    tagged: [{ vn: VnId(5), mac: macA, vid: Vid(105) }],
    mtus: new Map(),
  });
  expect(shown.vns.map(({ vnId, guestTag, tag }) => [vnId, guestTag, tag])).toEqual([
    [5, 10, 105],
    [6, 0, 0],
  ]);
  expect(() => treeFrom([{ ...attachment, guestTag: 4095 }])).toThrow(/guest tag 4095 is not in/);
});

describe("H10: the book", () => {
  const bound = (it: ReturnType<typeof bookAt>) =>
    bindingsOf(it.book.vnics.values()).map(
      ({ interface: of, guestTag, mac, vid }) => `${of} ${guestTag} ${mac} ${vid}`,
    );
  const octets = (actions: readonly BookAction[]) =>
    actions.flatMap((action) => (action.do === "send" ? [...vdpduOctets(action.vdpdu)] : []));

  test("binds each guest tag to the tag that its VN was lent", () => {
    const it = bookAt();
    const granted = it.at(2, answer(firstAssociation(it.attach(1, 1, both))));
    expect(outcomes(granted)).toEqual([{ do: "done", call: 1 }]);
    expect(bound(it)).toEqual([`tap0 10 ${macA} 105`, `tap0 20 ${macA} 106`]);
  });

  test("tells the NVE nothing of guest tags: the octets are the same with and without", () => {
    const plain = plus(treeOf(5), treeOf(6, macB));
    const tagged = plus(trunk(5, 10), trunk(6, 4094, macB));
    const [one, other] = [plain, tagged].map((tree) => {
      const it = bookAt();
      it.at(0, {
        on: "peer",
        evb: agreed,
        reads: new Set(["addresses", "names", "labels", "prefixes"]),
      });
      const asked = it.attach(1, 1, tree);
      const after = it.at(2, answer(firstAssociation(asked)));
      const keepalive = it.at(30_000, { on: "tick" });
      return [asked, after, keepalive].map(octets);
    });
    expect(one?.[0]?.length).toBeGreaterThan(0);
    expect(one?.[2]?.length).toBeGreaterThan(0);
    expect(other).toEqual(one);
  });

  test("may have equal guest tags on two VNICs for two VNs, and two for the same VN", () => {
    const it = bookAt();
    it.at(2, answer(firstAssociation(it.attach(1, 1, both))));
    const second = plus(trunk(6, 10, macB), trunk(5, 30, macB));
    const granted = it.at(4, answer(firstAssociation(it.attach(3, 2, second, vnicB, "tap1"))));
    expect(outcomes(granted)).toEqual([{ do: "done", call: 2 }]);
    expect(bound(it)).toEqual([
      `tap0 10 ${macA} 105`,
      `tap0 20 ${macA} 106`,
      `tap1 10 ${macB} 106`,
      `tap1 30 ${macB} 105`,
    ]);
  });

  test("refuses another guest tag for a VN that is there, and says nothing to the NVE", () => {
    const it = bookAt();
    it.at(2, answer(firstAssociation(it.attach(1, 1, both))));
    const refused = it.change(3, 2, plus(both, trunk(5, 11, macB)));
    expect(outcomes(refused)).toEqual([
      { do: "failed", call: 2, reason: expect.stringContaining("remove the VN first") },
    ]);
    expect(sent(refused)).toEqual([]);
    expect(bound(it)).toEqual([`tap0 10 ${macA} 105`, `tap0 20 ${macA} 106`]);
  });

  test("binds anew when a VN comes back by another guest tag in one change, with the same lent tag", () => {
    const it = bookAt();
    it.at(2, answer(firstAssociation(it.attach(1, 1, both))));
    const granted = it.at(
      4,
      answer(firstAssociation(it.change(3, 2, plus(trunk(5, 11), trunk(6, 20))))),
    );
    expect(binds(granted)).toBe(true);
    expect(bound(it)).toEqual([`tap0 11 ${macA} 105`, `tap0 20 ${macA} 106`]);
  });

  test("H4: a VN Name that is the VN of another guest tag is refused, and frames go on as before", () => {
    const it = bookAt();
    it.at(0, { on: "peer", evb: agreed, reads: new Set(["names"] as const) });
    it.at(2, answer(firstAssociation(it.attach(1, 1, both))));
    const asked = it.change(3, 2, plus(both, byName(30, macB)));
    const event = answer(firstAssociation(asked), { vid: 105 });
    if (event.on !== "association" || event.association.filters.by !== "group-mac-vid") {
      throw new Error("no answer");
    }
    const entries = event.association.filters.entries.map((entry) =>
      entry.groupId === 6 ? { ...entry, vid: Vid(106) } : entry,
    );
    const told = it.at(4, {
      ...event,
      association: { ...event.association, filters: { by: "group-mac-vid", entries } },
      names: new Map([[placeholder(0), { placeholder: placeholder(0), name, vn: VnId(5) }]]),
    });
    expect(outcomes(told)).toEqual([
      {
        do: "failed",
        call: 2,
        reason: expect.stringMatching(/VN 5 .* guest tag 10 .* guest tag 30/),
      },
    ]);
    const before = [`tap0 10 ${macA} 105`, `tap0 20 ${macA} 106`];
    expect(bound(it)).toEqual(before);
    expect(sent(told), "the NVE is asked for what it was before").toMatchObject([
      [{ entries: [`5 ${macA} 105`, `6 ${macA} 106`] }],
    ]);
    it.at(5, answer(firstAssociation(told)));
    expect(bound(it)).toEqual(before);
    expect(it.state()).toBe("associated");
  });
});
