import { type Mac, Vid } from "@nve/protocol-spec";
import {
  type Ask,
  allTags,
  entriesOf,
  type Fixed,
  type PortTag,
  TagPool,
} from "@nve/switch-agent/nve";
import { beforeEach, describe, expect, test } from "vitest";
import { a, Bench, b, blue, groups, port, red, tor2, vniOf } from "./nve-bench.ts";

type FixedEntry = Fixed["entries"][number];

const fixed = (...entries: [FixedEntry["vn"], PortTag, Mac?][]): Fixed => ({
  by: "fixed",
  entries: entries.map(([vn, tag, mac]) => ({ vn, tag, ...(mac !== undefined && { mac }) })),
});

let nve: Bench;
beforeEach(() => {
  nve = new Bench(port("swp1"), port("swp2", { tags: [Vid(10), Vid(19)] }));
});

const ask = (vsi: string, at: string, filters: Fixed, more: Partial<Ask> = {}) =>
  nve.ask(vsi, at, filters, more);

describe("tags that are given", () => {
  test("A11: a VN on untagged frames, another on a VLAN out of the port's range, both forwarded and claimed", () => {
    ask("bare1", "swp2", fixed([red, 0, a]));
    ask("bare2", "swp2", fixed([blue, Vid(300), b]));
    expect([...nve.applied.keys()].sort()).toEqual(
      [
        "access swp2 0",
        "access swp2 300",
        `mac ${vniOf(red)} ${a}`,
        `mac ${vniOf(blue)} ${b}`,
        `vn ${vniOf(red)}`,
        `vn ${vniOf(blue)}`,
      ].sort(),
    );
    expect(nve.applied.get(`mac ${vniOf(red)} ${a}`)).toMatchObject({
      at: { is: "local", port: "swp2", vid: 0 },
    });
    expect([...nve.claims.keys()].sort()).toEqual([`${red} ${a}`, `${blue} ${b}`].sort());
  });

  test("what was asked for is granted as it is", () => {
    const filters = fixed([red, 0, a]);
    ask("bare1", "swp1", filters);
    expect(nve.did("grant")).toEqual([{ do: "grant", port: "swp1", vsi: "bare1", filters }]);
  });

  test("V8: a tag or the untagged frames of a port are of one VN", () => {
    ask("bare1", "swp1", fixed([red, 0, a]));
    ask("bare2", "swp1", fixed([blue, 0, b]));
    expect(nve.refused?.reason).toBe("untagged frames of port swp1 are of VN 5001 already");
    ask("bare1", "swp1", fixed([red, Vid(7), a]));
    expect(nve.refused?.reason).toBe("VN 5001 has the untagged frames of port swp1 already");
    ask("bare2", "swp2", fixed([blue, 0, b]));
    expect(nve.refused, "another port is another scope").toBeUndefined();
  });

  test("H2: one VN by two tags at once is refused whole, and nothing is left of it", () => {
    ask("bare1", "swp1", fixed([red, 0, a], [red, Vid(7), b]));
    expect(nve.refused).toBeDefined();
    expect([
      nve.intents.length,
      nve.core.vsis.size,
      nve.core.ports.get("swp1")?.pool.lent.size,
    ]).toEqual([0, 0, 0]);
  });

  test("a tag that is given is not lent to a station, and after it is given back it is", () => {
    const pool = new TagPool([Vid(2), Vid(3)]);
    expect(pool.lend(red, "bare1", Vid(2), true)).toBe(2);
    expect(pool.lend(blue, "vm1")).toBe(3);
    pool.giveBack(red, "bare1");
    expect(pool.free).toBe(1);
    expect(pool.lend(red, "vm2")).toBe(2);
  });

  test("a tag out of the range, and none, are never lent afterwards", () => {
    const pool = new TagPool([Vid(2), Vid(3)]);
    for (const tag of [0, Vid(300)] as const) {
      expect(pool.has(red, tag)).toBe(false);
      expect(pool.lend(red, "bare1", tag, true)).toBe(tag);
      pool.giveBack(red, "bare1");
      expect([pool.free, pool.vnOf(tag)]).toEqual([2, undefined]);
    }
  });

  test("a station may join a VN on the tag that was given for it, and name it", () => {
    ask("bare1", "swp1", fixed([red, Vid(300), a]));
    nve.ask("vm1", "swp1", groups([red, b]));
    expect(nve.tags()).toEqual([300]);
    nve.release("bare1");
    expect(nve.applied.has("access swp1 300"), "as long as anybody holds it").toBe(true);
  });

  test("no entry at all is refused", () => {
    expect(entriesOf(fixed(), () => undefined)).toMatchObject({ hard: true });
  });
});

describe("rules of an access", () => {
  test("are those of the port, or those of who asked in their place", () => {
    nve = new Bench({ ...port("swp1"), rules: { glean: true } });
    ask("bare1", "swp1", fixed([red, 0, a]));
    ask("bare2", "swp1", fixed([blue, Vid(20), b]), { rules: { checkSource: true } });
    expect(nve.applied.get("access swp1 0")).toMatchObject({ glean: true });
    const strict = nve.applied.get("access swp1 20");
    expect(strict).toMatchObject({ checkSource: true });
    expect(strict).not.toHaveProperty("glean");
  });

  test("change with who asked, in place", () => {
    ask("bare1", "swp1", fixed([red, 0, a]));
    ask("bare1", "swp1", fixed([red, 0, a]), { rules: { checkSource: true } });
    expect(nve.did("intents")[0]?.change).toMatchObject({
      ensure: [{ is: "access", vid: 0, checkSource: true }],
      remove: [],
    });
  });
});

describe("ports that come and go", () => {
  const tap0 = { name: "tap0", tags: allTags, maxVnics: 1, rules: { checkSource: true } as const };

  test("A8: a port made later is as good as one of the config", () => {
    nve.feed({ on: "port", port: tap0 });
    ask("vm1", "tap0", fixed([red, 0, a]));
    expect(nve.applied.get("access tap0 0")).toMatchObject({ vni: vniOf(red), checkSource: true });
    ask("vm2", "tap0", fixed([blue, Vid(7), a]));
    expect(nve.refused?.reason).toBe("port tap0 has its 1 VNICs, no more are allowed");
  });

  test("one that is there stays as it is", () => {
    ask("bare1", "swp1", fixed([red, 0, a]));
    nve.feed({ on: "port", port: { ...tap0, name: "swp1" } });
    expect(nve.core.ports.get("swp1")).toMatchObject({ maxVnics: 4096, rules: {} });
    expect(nve.core.ports.get("swp1")?.vsis).toEqual(new Set(["bare1"]));
  });

  test("with a port goes all that was on it, and nothing else", () => {
    nve.feed({ on: "port", port: tap0 });
    ask("vm1", "tap0", fixed([red, 0, a]));
    ask("bare1", "swp1", fixed([red, 0, b]));
    nve.feed({ on: "port-gone", name: "tap0" });
    expect([...nve.applied.keys()].sort()).toEqual(
      ["access swp1 0", `mac ${vniOf(red)} ${b}`, `vn ${vniOf(red)}`].sort(),
    );
    expect([...nve.claims.keys()]).toEqual([`${red} ${b}`]);
    expect(nve.core.vsis.has("vm1")).toBe(false);
    expect(nve.did("order-de-associate")).toEqual([]);
    nve.feed({ on: "port-gone", name: "tap0" });
    expect(nve.effects).toEqual([]);
  });

  test("what others tell of the VN afterwards does no harm", () => {
    nve.feed({ on: "port", port: tap0 });
    ask("vm1", "tap0", fixed([red, 0, a]));
    nve.feed({ on: "port-gone", name: "tap0" });
    const change = { vn: red, mappings: [], withdrawn: [], members: [tor2], membersLeft: [] };
    nve.feed({ on: "remote", change });
    expect(nve.intents).toEqual([]);
  });
});
