import { plus, type Tree } from "@nve/hypervisor-agent/stations/tree";
import type { BookEvent } from "@nve/hypervisor-agent/stations/turn";
import { Instant, IpPrefix, placeholder, readLabels, Uuid, Vid, VnId } from "@nve/protocol-spec";
import { describe, expect, test } from "vitest";
import {
  agreed,
  answer,
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

describe("IP addresses", () => {
  const withIp = [{ vn: 5, macs: [{ mac: macA, ips: ["10.0.0.1"] }] }] as unknown as ReturnType<
    typeof treeOf
  >;
  const kinds = (actions: ReturnType<ReturnType<typeof bookAt>["at"]>) =>
    actions.flatMap((action) =>
      action.do === "send" ? action.vdpdu.tlvs.map(({ is }) => is) : [],
    );

  test("H11: go with the request when the NVE reads them", () => {
    const it = bookAt();
    it.at(0, { on: "peer", evb: agreed, reads: new Set(["addresses"]) });
    expect(kinds(it.attach(1, 1, withIp))).toEqual(["association", "organizational"]);
  });

  test("stay at home when it does not, and are said as soon as it does", () => {
    const it = bookAt();
    const asked = it.attach(1, 1, withIp);
    expect(kinds(asked)).toEqual(["association"]);
    it.at(2, { on: "peer", evb: agreed, reads: new Set(["addresses"]) });
    expect(kinds(it.at(3, answer(firstAssociation(asked))))).toEqual([
      "association",
      "organizational",
    ]);
  });
});

describe("H4: a VN by its name", () => {
  const name = Uuid("cccccccc-0000-4000-8000-000000005001");
  const byName: Tree = [{ vn: name, macs: [{ mac: macA, ips: [] }] }];
  const reads = new Set(["addresses", "names"] as const);
  const named = (event: BookEvent, vn: number): BookEvent => {
    if (event.on !== "association") throw new Error("no answer");
    const first = placeholder(0);
    const { filters } = event.association;
    const entries =
      filters.by === "group-mac-vid"
        ? filters.entries.map((entry) => ({ ...entry, vid: Vid(100 + vn) }))
        : [];
    const association = {
      ...event.association,
      filters: { by: "group-mac-vid", entries } as const,
    };
    return {
      ...event,
      association,
      names: new Map([[first, { placeholder: first, name, vn: VnId(vn) }]]),
    };
  };
  const knowing = () => {
    const it = bookAt();
    it.at(0, { on: "peer", evb: agreed, reads });
    return it;
  };

  test("is asked for with a placeholder, and known by its VN ID from the answer on", () => {
    const it = knowing();
    const asked = it.attach(1, 1, byName);
    expect(sent(asked)).toMatchObject([[{ entries: [`${placeholder(0)} ${macA} -`] }]]);
    const done = it.at(2, named(answer(firstAssociation(asked), { vid: 105 }), 5));
    expect(outcomes(done)).toEqual([{ do: "done", call: 1 }]);
    expect(sent(done), "no second message").toEqual([]);
    expect(it.tags()).toEqual([[5, 105]]);
    expect(it.book.vnics.get(vnicA)?.wanted).toEqual([
      { vn: 5, name, macs: [{ mac: macA, ips: [] }] },
    ]);
    const keepalive = it.at(11_000, { on: "tick" });
    expect(sent(keepalive)).toMatchObject([[{ entries: [`5 ${macA} 105`] }]]);
  });

  test("is refused at once where the NVE knows no names, and what to use is said", () => {
    const it = bookAt();
    const [failed] = outcomes(it.attach(1, 1, byName));
    expect(failed).toMatchObject({
      do: "failed",
      reason: expect.stringMatching(/no VN Names: use the VN ID of cccccccc/),
    });
    expect(it.book.vnics.size).toBe(0);
  });

  test("an answer that does not tell the VN ID is no grant", () => {
    const it = knowing();
    const asked = it.attach(1, 1, byName);
    const actions = it.at(2, answer(firstAssociation(asked), { vid: 105 }));
    expect(outcomes(actions)).toMatchObject([
      { do: "failed", reason: expect.stringMatching(/did not say which VN ID/) },
    ]);
    expect(sent(actions)).toMatchObject([[{ type: "de-associate" }]]);
  });

  test("H5: a VN that turns out to have this MAC on another VNIC is taken back", () => {
    const it = knowing();
    const first = it.attach(1, 1, treeOf(5), vnicB, "tap1");
    it.at(2, answer(firstAssociation(first)));
    const asked = it.attach(3, 2, byName);
    const actions = it.at(4, named(answer(firstAssociation(asked), { vid: 105 }), 5));
    expect(outcomes(actions)).toMatchObject([
      { do: "failed", reason: expect.stringMatching(/MAC .* of VN 5 is on VNIC bbbbbbbb/) },
    ]);
    expect(sent(actions)).toMatchObject([[{ type: "de-associate", vnic: vnicA }]]);
    expect(it.tags(vnicB)).toEqual([[5, 105]]);
  });

  test("a change by name that is refused leaves what was", () => {
    const it = knowing();
    const first = it.attach(1, 1, treeOf(5));
    it.at(2, answer(firstAssociation(first)));
    const both = plus(treeOf(5), [{ vn: name, macs: [{ mac: macB, ips: [] }] }]);
    const asked = it.change(3, 2, both);
    expect(sent(asked)).toMatchObject([
      [{ entries: [`5 ${macA} 105`, `${placeholder(0)} ${macB} -`] }],
    ]);
    it.at(4, answer(firstAssociation(asked), { code: 5, keep: true, vid: 105 }));
    expect(it.book.vnics.get(vnicA)?.wanted).toEqual(treeOf(5));
    expect(it.tags()).toEqual([[5, 105]]);
  });
});

test("labels go with each request to an NVE that reads them, and not to another", () => {
  const it = bookAt();
  const labels = (actions: ReturnType<typeof it.at>) =>
    actions.flatMap((action) =>
      action.do === "send"
        ? action.vdpdu.tlvs.flatMap((tlv) => (tlv.is === "organizational" ? [readLabels(tlv)] : []))
        : [],
    );
  const attach = { on: "attach", call: 1, vnic: vnicA, interface: "tap0", vm: "db1" } as const;
  it.at(0, { on: "peer", evb: agreed, reads: new Set(["labels"]) });
  const asked = it.at(1, { ...attach, tree: treeOf(5), deadline: Instant(9000) });
  expect(labels(asked)).toMatchObject([{ hypervisor: "", vm: "db1" }]);
  it.at(2, answer(firstAssociation(asked)));
  expect(labels(it.at(11_000, { on: "tick" }))).toHaveLength(1);
  const plain = bookAt();
  expect(labels(plain.at(1, { ...attach, tree: treeOf(5), deadline: Instant(9000) }))).toEqual([]);
});

test("H8: prefixes go to an NVE that reads them, single addresses to others too", () => {
  const ips = [IpPrefix("10.0.0.1"), IpPrefix("10.1.0.0/16")];
  const tree: Tree = [{ vn: VnId(5), macs: [{ mac: macA, ips }] }];
  const subtypes = (actions: ReturnType<ReturnType<typeof bookAt>["at"]>) =>
    actions.flatMap((action) =>
      action.do === "send"
        ? action.vdpdu.tlvs.flatMap((tlv) => (tlv.is === "organizational" ? [tlv.subtype] : []))
        : [],
    );
  for (const [reads, sent] of [
    [["addresses"], [1]],
    [
      ["addresses", "prefixes"],
      [1, 6],
    ],
  ] as const) {
    const it = bookAt();
    it.at(0, { on: "peer", evb: agreed, reads: new Set(reads) });
    expect(subtypes(it.attach(1, 1, tree))).toEqual(sent);
  }
});
