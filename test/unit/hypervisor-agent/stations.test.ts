import { plus } from "@nve/hypervisor-agent/stations/tree";
import { VdpError } from "@nve/protocol-spec";
import { describe, expect, test } from "vitest";
import {
  agreed,
  answer,
  associated,
  binds,
  bookAt,
  firstAssociation,
  macA,
  macB,
  order,
  outcomes,
  sent,
  treeOf,
  vnicA,
  vnicB,
  vnicMac,
} from "./book.ts";

describe("attach", () => {
  test("H1, H9: asks with the null VID in one message, and is done with the tag that is lent", () => {
    const it = bookAt();
    const asked = it.attach(1, 7);
    expect(sent(asked)).toEqual([[{ type: "associate", vnic: vnicA, entries: [`5 ${macA} -`] }]]);
    expect(it.state()).toBe("associating");
    const granted = it.at(2, answer(firstAssociation(asked)));
    expect(granted.map((action) => action.do)).toEqual(["bind", "done", "report"]);
    expect(it.state()).toBe("associated");
    expect(it.tags()).toEqual([[5, 105]]);
  });

  test("the request is that of a VSI with the VNIC Name as UUID and the VN ID as GroupID (H4, H5)", () => {
    expect(firstAssociation(bookAt().attach(1, 1))).toMatchObject({
      vsiId: { format: 5, octets: Uint8Array.from(Buffer.from(vnicA.replaceAll("-", ""), "hex")) },
      vsiType: { id: 0, version: 1 },
      filters: { by: "group-mac-vid", entries: [{ groupId: 5, mac: macA }] },
    });
  });

  test.each([
    VdpError.invalidFormat,
    VdpError.insufficientResources,
    VdpError.other,
    VdpError.invalidVidGroupOrMac,
  ])("refused with code %i: fails with the reason, and the VNIC is forgotten", (code) => {
    const it = bookAt();
    const refused = it.at(2, answer(firstAssociation(it.attach(1, 1)), { code }));
    expect(outcomes(refused)).toEqual([
      { do: "failed", call: 1, reason: expect.stringContaining(`(VDP error ${code})`) },
    ]);
    expect(it.state()).toBeUndefined();
    expect(it.book.deadline).toBeUndefined();
  });

  test("the NVE cannot reach its manager: waits, and asks again with backoff", () => {
    const it = bookAt();
    const code = VdpError.managerUnreachable;
    it.at(2, answer(firstAssociation(it.attach(1, 1)), { code }));
    expect(it.state()).toBe("waiting");
    expect(it.book.deadline).toBe(502);
    const second = it.at(502, { on: "tick" });
    expect(sent(second)).toHaveLength(1);
    it.at(503, answer(firstAssociation(second), { code }));
    expect(it.book.deadline).toBe(1503);
    const third = it.at(1503, { on: "tick" });
    expect(outcomes(it.at(1504, answer(firstAssociation(third))))).toEqual([
      { do: "done", call: 1 },
    ]);
  });

  test("the same code with the hard bit is for good", () => {
    const it = bookAt();
    const answered = answer(firstAssociation(it.attach(1, 1)), { code: 3, hard: true });
    expect(outcomes(it.at(2, answered))).toMatchObject([{ do: "failed", call: 1 }]);
    expect(it.state()).toBeUndefined();
  });

  test("no NVE yet: nothing is sent, it waits until one is there", () => {
    const it = bookAt({ ready: false });
    expect(sent(it.attach(1, 1))).toEqual([]);
    expect(it.state()).toBe("waiting");
    const there = it.at(50, { on: "peer", evb: agreed, reads: new Set() });
    expect(sent(there)).toHaveLength(1);
  });

  test("time is up without an NVE: fails with what is missing, and the VNIC is forgotten", () => {
    const it = bookAt({ ready: false });
    it.attach(1, 1);
    expect(it.book.deadline).toBe(20_001);
    expect(outcomes(it.at(20_001, { on: "tick" }))).toEqual([
      {
        do: "failed",
        call: 1,
        reason: "not connected in time: no NVE answers on the uplink: no EVB TLV in LLDP yet",
      },
    ]);
    expect(it.state()).toBeUndefined();
  });

  test("time is up while an answer is awaited: a De-Associate takes the request back", () => {
    const it = bookAt();
    it.at(10, { on: "peer", evb: { ...agreed, rwd: 22 }, reads: new Set() });
    it.attach(20, 1);
    const late = it.at(20_020, { on: "tick" });
    expect(outcomes(late)).toMatchObject([
      { do: "failed", reason: expect.stringContaining("not answered") },
    ]);
    expect(sent(late)).toMatchObject([[{ type: "de-associate", vnic: vnicA }]]);
    expect(it.state()).toBe("leaving");
    // The interface is not free until the NVE knows, or is not there.
    const again = it.attach(20_002, 2);
    expect(outcomes(again)).toEqual([
      { do: "failed", call: 2, reason: expect.stringMatching(/not free yet: .* try again/) },
    ]);
    it.at(20_021, answer(firstAssociation(late), {}, "de-associate"));
    expect(it.state()).toBeUndefined();
  });

  test("ECP gave up: waits and asks again", () => {
    const it = bookAt();
    it.attach(1, 1);
    it.at(700, { on: "undelivered", vnics: [vnicA] });
    expect(it.state()).toBe("waiting");
    expect(it.reason()).toMatch(/ECP gave up/);
    expect(sent(it.at(1200, { on: "tick" }))).toHaveLength(1);
  });

  test("no VDP answer within the response wait: waits and asks again", () => {
    const it = bookAt();
    it.attach(1, 1);
    const waited = it.book.deadline ?? 0;
    expect(waited).toBeCloseTo(17_450, -1);
    it.at(waited, { on: "tick" });
    expect(it.state()).toBe("waiting");
    expect(it.reason()).toMatch(/did not answer/);
  });

  test("a late answer to a De-Associate of ours refuses nothing: waits and asks again", () => {
    const it = bookAt();
    const actions = it.at(2, answer(firstAssociation(it.attach(1, 1)), {}, "de-associate"));
    expect(outcomes(actions)).toEqual([]);
    expect(it.state()).toBe("waiting");
    const again = it.at(502, { on: "tick" });
    expect(sent(again)).toMatchObject([[{ type: "associate", vnic: vnicA }]]);
    expect(outcomes(it.at(503, answer(firstAssociation(again), { vid: 100 })))).toMatchObject([
      { do: "done", call: 1 },
    ]);
  });

  test("an answer without a VID is no connection: it is taken back, the caller is told", () => {
    const it = bookAt();
    const actions = it.at(2, answer(firstAssociation(it.attach(1, 1)), { vid: "none" }));
    expect(outcomes(actions)).toMatchObject([
      { do: "failed", reason: expect.stringMatching(/no tags/) },
    ]);
    expect(sent(actions)).toMatchObject([[{ type: "de-associate" }]]);
  });

  test("P11: one tag for two VNs of a VNIC is refused", () => {
    const it = bookAt();
    const asked = firstAssociation(it.attach(1, 1, plus(treeOf(5), treeOf(6, macB))));
    expect(outcomes(it.at(2, answer(asked, { vid: 100 })))).toMatchObject([
      { do: "failed", reason: "the NVE lent tag 100 for two VNs" },
    ]);
  });

  test("P11: a tag that is lent for another VN is not its former VN's any more", () => {
    const it = associated();
    const asked = firstAssociation(it.attach(10, 2, treeOf(6, macB), vnicB, "tap1"));
    const actions = it.at(11, answer(asked, { vid: 105 }));
    expect(binds(actions)).toBe(true);
    expect(it.tags(vnicB)).toEqual([[6, 105]]);
    expect(it.tags(vnicA)).toBeUndefined();
    expect(sent(it.at(511, { on: "tick" }))).toMatchObject([[{ entries: [`5 ${macA} -`] }]]);
  });

  test.each([
    ["the interface", { vnic: vnicB, of: "tap0", mac: macB }, /interface tap0 is attached already/],
    ["the VNIC", { vnic: vnicA, of: "tap1", mac: macB }, /VNIC .* attached already, to tap0/],
    ["the MAC in this VN (H5)", { vnic: vnicB, of: "tap1", mac: macA }, /MAC .* is on VNIC/],
  ])("refused when %s is taken", (_, { vnic, of, mac }, why) => {
    const it = associated();
    const actions = it.attach(5, 2, treeOf(5, mac), vnic, of);
    expect(outcomes(actions)).toEqual([
      { do: "failed", call: 2, reason: expect.stringMatching(why) },
    ]);
    expect(sent(actions)).toEqual([]);
  });

  test("H5: the same MAC in another VN is another VNIC's", () => {
    const it = associated();
    expect(sent(it.attach(5, 2, treeOf(6, macA), vnicB, "tap1"))).toHaveLength(1);
  });
});

describe("change", () => {
  test("H6: adding a VN is one Associate with the whole new set, known tags in it", () => {
    const it = associated();
    const asked = it.change(10, 2, plus(treeOf(5), treeOf(6, macB)));
    expect(sent(asked)).toEqual([
      [{ type: "associate", vnic: vnicA, entries: [`5 ${macA} 105`, `6 ${macB} -`] }],
    ]);
    expect(it.state()).toBe("associated");
    expect(outcomes(it.at(11, answer(firstAssociation(asked))))).toEqual([{ do: "done", call: 2 }]);
    expect(it.tags()).toEqual([
      [5, 105],
      [6, 106],
    ]);
  });

  test("H7: removing a VN with two MACs is one message", () => {
    const it = bookAt();
    const both = plus(plus(treeOf(5), treeOf(6, macB)), treeOf(6, vnicMac("0c")));
    it.at(2, answer(firstAssociation(it.attach(1, 1, both))));
    const asked = it.change(10, 2, treeOf(5));
    expect(sent(asked)).toMatchObject([[{ type: "associate", entries: [`5 ${macA} 105`] }]]);
    const granted = it.at(11, answer(firstAssociation(asked)));
    expect(binds(granted)).toBe(true);
    expect(it.tags()).toEqual([[5, 105]]);
  });

  test("refused with KEEP: the older state stays, the caller gets the reason", () => {
    const it = associated();
    const asked = it.change(10, 2, plus(treeOf(5), treeOf(6, macB)));
    const actions = it.at(11, answer(firstAssociation(asked), { code: 5, keep: true }));
    expect(outcomes(actions)).toMatchObject([
      { do: "failed", call: 2, reason: expect.stringContaining("VDP error 5") },
    ]);
    expect(binds(actions)).toBe(false);
    expect(sent(actions)).toEqual([]);
    expect(it.state()).toBe("associated");
    expect(it.tags()).toEqual([[5, 105]]);
  });

  test("refused without KEEP: the older set is asked for again, with null VIDs", () => {
    const it = associated();
    const wider = it.change(10, 2, plus(treeOf(5), treeOf(6, macB)));
    const untagged = it.at(11, answer(firstAssociation(wider), { code: 5 }));
    expect(sent(untagged)).toMatchObject([[{ entries: [`5 ${macA} -`, `6 ${macB} -`] }]]);
    const older = it.at(12, answer(firstAssociation(untagged), { code: 5 }));
    expect(outcomes(older)).toMatchObject([{ do: "failed", call: 2 }]);
    expect(sent(older)).toMatchObject([[{ entries: [`5 ${macA} -`] }]]);
    it.at(13, answer(firstAssociation(older)));
    expect(it.state()).toBe("associated");
  });

  test("during a keepalive it is asked when that is answered", () => {
    const it = associated();
    const keepalive = it.at(it.book.deadline ?? 0, { on: "tick" });
    expect(sent(keepalive)).toMatchObject([[{ entries: [`5 ${macA} 105`] }]]);
    expect(sent(it.change(11_000, 2, plus(treeOf(5), treeOf(6, macB))))).toEqual([]);
    const asked = it.at(11_001, answer(firstAssociation(keepalive)));
    expect(sent(asked)).toMatchObject([[{ entries: [`5 ${macA} 105`, `6 ${macB} -`] }]]);
    expect(outcomes(it.at(11_002, answer(firstAssociation(asked))))).toEqual([
      { do: "done", call: 2 },
    ]);
  });

  test("not answered in time: fails, and what comes late is changed back", () => {
    const it = associated();
    it.at(5, { on: "peer", evb: { ...agreed, rwd: 22 }, reads: new Set() });
    const asked = it.change(10, 2, plus(treeOf(5), treeOf(6, macB)));
    expect(outcomes(it.at(20_010, { on: "tick" }))).toMatchObject([{ do: "failed", call: 2 }]);
    const back = it.at(20_011, answer(firstAssociation(asked)));
    expect(sent(back)).toMatchObject([[{ entries: [`5 ${macA} 105`] }]]);
    it.at(20_012, answer(firstAssociation(back)));
    expect(it.tags()).toEqual([[5, 105]]);
  });

  test("a second change at the same time is refused", () => {
    const it = associated();
    it.change(10, 2, plus(treeOf(5), treeOf(6, macB)));
    expect(outcomes(it.change(11, 3, treeOf(6, macB)))).toMatchObject([{ do: "failed", call: 3 }]);
  });
});

describe("detach", () => {
  test("H2, H7, H19: one De-Associate with the tags, done when it is answered", () => {
    const it = associated();
    const asked = it.at(11, { on: "detach", call: 2, vnic: vnicA });
    expect(sent(asked)).toEqual([
      [{ type: "de-associate", vnic: vnicA, entries: [`5 ${macA} 105`] }],
    ]);
    expect(it.state()).toBe("leaving");
    const gone = it.at(12, answer(firstAssociation(asked), {}, "de-associate"));
    expect(outcomes(gone)).toEqual([{ do: "done", call: 2 }]);
    expect(it.state()).toBeUndefined();
  });

  test("not answered: done after the response wait", () => {
    const it = associated();
    it.at(10, { on: "detach", call: 2, vnic: vnicA });
    expect(outcomes(it.at(it.book.deadline ?? 0, { on: "tick" }))).toEqual([
      { do: "done", call: 2 },
    ]);
  });

  test("with the uplink down it is gone at once, and the NVE is told when the link is up", () => {
    const it = associated();
    it.at(5, { on: "link", state: "down" });
    const actions = it.at(10, { on: "detach", call: 2, vnic: vnicA });
    expect(sent(actions)).toEqual([]);
    expect(outcomes(actions)).toEqual([{ do: "done", call: 2 }]);
    expect(sent(it.at(20, { on: "link", state: "up" }))).toEqual([
      [{ type: "de-associate", vnic: vnicA, entries: [`5 ${macA} 105`] }],
    ]);
    it.at(30, { on: "link", state: "down" });
    expect(sent(it.at(40, { on: "link", state: "up" }))).toEqual([]);
  });

  test("with the uplink down, and there again before it is up: the NVE is told that alone", () => {
    const it = associated();
    it.at(5, { on: "link", state: "down" });
    it.at(10, { on: "detach", call: 2, vnic: vnicA });
    it.attach(11, 3, treeOf(6));
    expect(sent(it.at(20, { on: "link", state: "up" }))).toEqual([
      [{ type: "associate", vnic: vnicA, entries: [`6 ${macA} -`] }],
    ]);
  });

  test("ends an attach that is still waiting", () => {
    const it = bookAt({ ready: false });
    it.attach(1, 1);
    expect(outcomes(it.at(2, { on: "detach", call: 2, vnic: vnicA }))).toMatchObject([
      { do: "failed", call: 1, reason: expect.stringContaining("detached meanwhile") },
      { do: "done", call: 2 },
    ]);
  });
});

describe("the NVE", () => {
  test("disconnects a VNIC: it loses its tags at once, the reason is shown, it is asked for again", () => {
    const it = associated();
    const asked = firstAssociation(it.at(it.book.deadline ?? 0, { on: "tick" }));
    const actions = it.at(11_000, order(asked));
    expect(binds(actions)).toBe(true);
    expect(it.tags()).toBeUndefined();
    expect(it.state()).toBe("waiting");
    expect(it.reason()).toMatch(/disconnected/);
    const again = it.at(11_500, { on: "tick" });
    expect(sent(again)).toMatchObject([[{ entries: [`5 ${macA} -`] }]]);
    it.at(11_501, answer(firstAssociation(again), { code: 5 }));
    expect(it.state()).toBe("refused");
    expect(it.reason()).toMatch(/VDP error 5/);
    expect(it.book.deadline).toBe(41_501);
  });

  test("was started anew: all is said to it again at once, with the tags of before, and frames go on meanwhile", () => {
    const it = associated();
    const again = it.at(50, { on: "peer-anew" });
    expect(sent(again)).toMatchObject([[{ entries: [`5 ${macA} 105`] }]]);
    expect(binds(again)).toBe(false);
    expect(it.state()).toBe("associated");
    it.at(51, answer(firstAssociation(again)));
    expect(it.tags()).toEqual([[5, 105]]);
  });

  test("asks now and then for a VNIC that the NVE had and refuses now: the VN may come back", () => {
    const it = associated();
    it.at(100, order(firstAssociation(it.at(it.book.deadline ?? 0, { on: "tick" }))));
    it.at(11_000, answer(firstAssociation(it.at(10_999, { on: "tick" })), { code: 5 }));
    expect(it.at(40_999, { on: "tick" })).toEqual([]);
    const again = it.at(41_000, { on: "tick" });
    expect(sent(again)).toMatchObject([[{ entries: [`5 ${macA} -`] }]]);
    expect(it.state()).toBe("refused");
    it.at(41_001, answer(firstAssociation(again), { vid: 200 }));
    expect(it.state()).toBe("associated");
  });

  test("refuses the tag of before: any other will do", () => {
    const it = associated();
    const same = it.at(it.book.deadline ?? 0, { on: "tick" });
    const any = it.at(11_000, answer(firstAssociation(same), { code: 5 }));
    expect(sent(any)).toMatchObject([[{ entries: [`5 ${macA} -`] }]]);
    it.at(11_001, answer(firstAssociation(any), { vid: 200 }));
    expect(it.tags()).toEqual([[5, 200]]);
  });

  test("answers for VSIs of others, or of another VSI type, change nothing", () => {
    const it = bookAt();
    const asked = firstAssociation(it.attach(1, 1));
    it.at(2, answer({ ...asked, vsiType: { id: 9, version: 1 } }));
    it.at(2, answer({ ...asked, vsiId: { format: 5, octets: new Uint8Array(16) } }));
    expect(it.state()).toBe("associating");
  });
});

test("stop: De-Associate for all in one message; who waits is told", () => {
  const it = associated();
  it.attach(5, 2, treeOf(6, macB), vnicB, "tap1");
  const actions = it.at(6, { on: "stop" });
  expect(sent(actions)).toMatchObject([
    [
      { type: "de-associate", vnic: vnicA },
      { type: "de-associate", vnic: vnicB },
    ],
  ]);
  expect(outcomes(actions)).toEqual([{ do: "failed", call: 2, reason: "the agent ends" }]);
});

test("an answer that is no grant is not asked for again at once, for ever", () => {
  const it = associated();
  it.at(10, order(firstAssociation(bookAt().attach(1, 1))));
  const asked = it.at(1000, { on: "tick" });
  const actions = it.at(1001, answer(firstAssociation(asked), { vid: "none" }));
  expect(it.state()).toBe("refused");
  expect(sent(actions)).toEqual([]);
  expect(sent(it.at(40_000, { on: "tick" })).flat()).not.toEqual([]);
});

test("what is granted to a VNIC that has gone is given back: the NVE would keep its tag", () => {
  const it = bookAt();
  const asked = firstAssociation(it.attach(0, 1));
  it.at(1, answer(asked));
  it.at(2, { on: "detach", call: 2, vnic: vnicA });
  it.at(3, answer(asked, {}, "de-associate"));
  expect(it.state()).toBeUndefined();
  expect(sent(it.at(4, answer(asked)))).toEqual([
    [{ type: "de-associate", vnic: vnicA, entries: [`5 ${macA} 105`] }],
  ]);
  expect(sent(it.at(5, answer(asked, { code: 2 })))).toEqual([]);
});

test("a switch started anew is asked twice, refuses the old tag twice, and its grant of another counts", () => {
  const it = bookAt();
  const asked = firstAssociation(it.attach(0, 1));
  it.at(1, answer(asked));
  const again = firstAssociation(it.at(100, { on: "peer-anew" }));
  it.at(101, { on: "peer-anew" });
  const anew = it.at(110, answer(again, { code: 5 }));
  expect(sent(anew)).toEqual([[{ type: "associate", vnic: vnicA, entries: [`5 ${macA} -`] }]]);
  it.at(111, answer(again, { code: 5 }));
  it.at(112, answer(firstAssociation(anew), { vid: 77 }));
  expect(it.state()).toBe("associated");
  expect(it.tags()).toEqual([[5, 77]]);
});
