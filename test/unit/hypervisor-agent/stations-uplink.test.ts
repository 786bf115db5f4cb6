import { plus, type Tree } from "@nve/hypervisor-agent/stations/tree";
import { VdpError } from "@nve/protocol-spec";
import { describe, expect, test } from "vitest";
import {
  agreed,
  alone,
  answer,
  associated,
  bookAt,
  firstAssociation,
  macA,
  macB,
  sent,
  treeOf,
  vnicA,
  vnicB,
  vnicMac,
} from "./book.ts";

describe("the uplink", () => {
  test("down and up: nothing times out meanwhile, then all is said again in one message", () => {
    const it = associated();
    it.at(3, answer(firstAssociation(it.attach(3, 2, treeOf(6, macB), vnicB, "tap1"))));
    it.at(10, { on: "link", state: "down" });
    it.at(10, { on: "peer", evb: alone, reads: new Set() });
    expect(it.book.deadline).toBeUndefined();
    expect(it.tags()).toEqual([[5, 105]]);
    const up = it.at(60_000, { on: "link", state: "up" });
    expect(sent(up)).toEqual([
      [
        { type: "associate", vnic: vnicA, entries: [`5 ${macA} 105`] },
        { type: "associate", vnic: vnicB, entries: [`6 ${macB} 106`] },
      ],
    ]);
    expect(it.state()).toBe("associated");
  });

  test("down: what ECP gives up then is not held against anyone", () => {
    const it = bookAt();
    it.attach(1, 1);
    it.at(2, { on: "link", state: "down" });
    it.at(2, { on: "undelivered", vnics: [vnicA] });
    expect(sent(it.at(100, { on: "link", state: "up" }))).toHaveLength(1);
  });

  test("an NVE that came back without a link flap is told all", () => {
    const it = associated();
    it.at(it.book.deadline ?? 0, { on: "tick" });
    it.at(11_000, { on: "peer", evb: alone, reads: new Set() });
    const back = it.at(12_000, { on: "peer", evb: agreed, reads: new Set() });
    expect(sent(back)).toMatchObject([[{ type: "associate", vnic: vnicA }]]);
  });

  const part = (...trees: Tree[]) => ({
    vnic: vnicA,
    interface: "tap0",
    tree: trees.reduce(plus, []),
  });
  const want = (...trees: Tree[]) => ({ on: "want", parts: [part(...trees)] }) as const;

  test("Req-3: what is wanted for nobody who waits is asked for, changed and taken back", () => {
    const it = bookAt();
    const asked = it.at(1, want(treeOf(5)));
    expect(sent(asked)).toEqual([[{ type: "associate", vnic: vnicA, entries: [`5 ${macA} -`] }]]);
    it.at(2, answer(firstAssociation(asked)));
    const more = it.at(3, want(treeOf(5), treeOf(6, macB)));
    it.at(4, answer(firstAssociation(more)));
    expect(it.tags()).toEqual([
      [5, 105],
      [6, 106],
    ]);
    expect(sent(it.at(5, want()))).toMatchObject([[{ type: "de-associate" }]]);
  });

  test("Req-3: refused, it is told as trouble each time, and asked for again after a while", () => {
    const it = bookAt();
    const asked = it.at(1, want(treeOf(5)));
    const refused = it.at(
      2,
      answer(firstAssociation(asked), { code: VdpError.insufficientResources }),
    );
    expect(refused).toContainEqual({ do: "trouble", vnic: vnicA, is: "resources" });
    expect(it.state()).toBe("refused");
    expect(sent(it.at(30_002, { on: "tick" }))).toHaveLength(1);
  });

  test("Req-3: what has gone elsewhere while the link was down is not said again when it is up", () => {
    const it = bookAt();
    it.at(2, answer(firstAssociation(it.at(1, want(treeOf(5), treeOf(6, macB))))));
    it.at(10, { on: "link", state: "down" });
    it.at(11, want(treeOf(6, macB)));
    expect(sent(it.at(20, { on: "link", state: "up" }))).toEqual([
      [{ type: "associate", vnic: vnicA, entries: [`6 ${macB} -`] }],
    ]);
  });

  test("Req-3: ECP gives up: that is told of the uplink, and what is granted stays", () => {
    const it = associated();
    const given = it.at(10, { on: "undelivered", vnics: [vnicA] });
    expect(given).toContainEqual({ do: "trouble", vnic: vnicA, is: "unheard" });
    expect(it.tags()).toEqual([[5, 105]]);
  });

  test("as many VNICs as 1493 octets hold go in one ECPDU", () => {
    const it = bookAt({ ready: false });
    for (let i = 0; i < 60; i += 1) {
      const last = i.toString(16).padStart(2, "0");
      const name = `cccccccc-0000-4000-8000-0000000000${last}` as typeof vnicA;
      it.attach(1, i, treeOf(5, vnicMac(last)), name, `tap${i}`);
    }
    const pdus = sent(it.at(2, { on: "peer", evb: agreed, reads: new Set() }));
    // 18 octets of manager TLV, 39 for each VSI, 1493 in all: 37 fit
    expect(pdus.map((pdu) => pdu.length)).toEqual([37, 23]);
  });
});
