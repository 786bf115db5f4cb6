import { call } from "@nve/program";
import { CreateVnRequest } from "@nve/protocol-spec/proto/northbound";
import { WatchEvent } from "@nve/protocol-spec/proto/nve";
import { afterEach, describe, expect, test } from "vitest";
import { claim, ip, macOf, type Rig, readable, rig, uuid } from "./rig.ts";

let nva: Rig;
afterEach(() => nva.stop());

async function started(store?: "lmdb"): Promise<void> {
  nva = await rig(store);
  for (const alias of ["blue", "red"]) await create(alias);
}
const create = (alias: string) =>
  call(nva.northbound, nva.northbound.createVn, CreateVnRequest.create({ alias }));
const destroy = (vnId: number) =>
  call(nva.northbound, nva.northbound.deleteVn, {
    vn: { ref: { $case: "vnId", value: vnId } },
    force: true,
  });
const vn = (vnId: number) => ({ vnId, cursor: undefined });
/** 250 kB in a message. */
const manyPrefixes = () =>
  Array.from({ length: 10_000 }, (_, i) => ({
    ip: Buffer.from([0xfd, 0, i >> 8, i & 255, ...new Array(12).fill(0)]),
    length: 64,
  }));

describe("a watch", () => {
  test("A17: is a snapshot, then changes as they happen, of the VNs asked for and no others", async () => {
    await started();
    const tor1 = await nva.nve("tor1", "10.0.0.1");
    await tor1.told({ joinedVns: [1, 2], claims: [claim(1), claim(2), claim(3, { vnId: 2 })] });
    const watch = nva.watch("tor2");
    watch.ask({ add: [vn(1)] });
    await watch.until("snapshotEnd");
    expect(watch.inbox.seen.map(readable)).toEqual([
      "snapshotBegin",
      "vn 1 is blue joined tor1 +1@tor1 +2@tor1",
      "snapshotEnd",
    ]);
    await tor1.told({ claims: [claim(4, { vnId: 2 })] });
    await tor1.told({ claims: [claim(5)], withdrawn: [{ vnId: 1, mac: macOf(1) }] });
    expect(readable({ event: { $case: "delta", value: await watch.delta() } })).toBe(
      "vn 1 +5@tor1 -1",
    );
    watch.ask({ add: [vn(2)], remove: [1] });
    await watch.until("snapshotEnd");
    await tor1.told({ claims: [claim(6), claim(7, { vnId: 2 })] });
    expect(await watch.delta()).toMatchObject({ vnId: 2, mappings: [{ mac: macOf(7) }] });
  });

  test("A18: of some MACs only brings the members, and these as they are and as they become", async () => {
    await started();
    const tor1 = await nva.nve("tor1", "10.0.0.1");
    await tor1.told({ joinedVns: [1], claims: [claim(1), claim(2), claim(3)] });
    const watch = nva.watch("tor2");
    watch.ask({ add: [{ vnId: 1, cursor: undefined, only: { macs: [macOf(1), macOf(9)] } }] });
    await watch.until("snapshotEnd");
    expect(watch.inbox.seen.map(readable)).toEqual([
      "snapshotBegin",
      "vn 1 is blue joined tor1 +1@tor1 -9",
      "snapshotEnd",
    ]);
    watch.ask({ select: { vnId: 1, add: [macOf(2)], remove: [macOf(1)] } });
    expect(readable({ event: { $case: "delta", value: await watch.delta() } })).toBe(
      "vn 1 +2@tor1",
    );
    await tor1.told({ withdrawn: [1, 3].map((n) => ({ vnId: 1, mac: macOf(n) })) });
    await tor1.told({ withdrawn: [{ vnId: 1, mac: macOf(2) }], claims: [claim(9), claim(10)] });
    expect(readable({ event: { $case: "delta", value: await watch.delta() } })).toBe(
      "vn 1 +9@tor1 -2",
    );
  });

  test("A18: resumed, tells what is selected whatever the cursor, and nothing else of before", async () => {
    await started();
    const tor1 = await nva.nve("tor1", "10.0.0.1");
    await tor1.told({ joinedVns: [1], claims: [claim(1), claim(2), claim(3)] });
    const { storeId, revision } = await call(nva.northbound, nva.northbound.status, {});
    await tor1.told({ claims: [claim(4)] });
    const watch = nva.watch("tor2");
    const only = { macs: [macOf(1), macOf(7)] };
    watch.ask({ add: [{ vnId: 1, cursor: { storeId, revision }, only }] });
    expect(readable({ event: { $case: "delta", value: await watch.delta() } })).toBe(
      "vn 1 +1@tor1 -7",
    );
  });

  test("A18: a selection of too many MACs, or of what is none, ends the watch with the reason", async () => {
    await started();
    const odd = nva.watch("tor2");
    odd.ask({ select: { vnId: 1, add: [Buffer.from([1])], remove: [] } });
    expect(await odd.inbox.ended).toContain("a MAC address has 6 octets");
    const many = nva.watch("tor3");
    many.ask({ add: [{ vnId: 1, cursor: undefined, only: { macs: [] } }] });
    const add = Array.from({ length: 65_537 }, (_, n) =>
      Buffer.from([2, 0, 0, n >> 16, n >> 8, n]),
    );
    many.ask({ select: { vnId: 1, add, remove: [] } });
    expect(await many.inbox.ended).toContain("more than 65536 MACs selected of one VN");
  });

  test("brings a bookmark each second, also with no VN in it", async () => {
    await started();
    const watch = nva.watch("tor1");
    watch.ask({ add: [vn(1)] });
    await watch.until("snapshotEnd");
    watch.ask({ remove: [1], add: [vn(2)] });
    await watch.until("snapshotEnd");
    watch.ask({ remove: [2] });
    const { storeId, revision } = await call(nva.northbound, nva.northbound.status, {});
    for (let second = 0; second < 3; second++) {
      nva.clock.advance(1000);
      expect(await watch.until("bookmark")).toEqual({ storeId, revision });
    }
  });

  test("of a large VN comes in pieces, and what changes meanwhile after it", async () => {
    await started();
    const tor1 = await nva.nve("tor1", "10.0.0.1");
    await tor1.told({ claims: Array.from({ length: 1500 }, (_, n) => claim(n)) });
    const watch = nva.watch("tor2");
    watch.ask({ add: [vn(1)] });
    await tor1.told({ claims: [claim(2000)], withdrawn: [{ vnId: 1, mac: macOf(7) }] });
    await tor1.told({ claims: [claim(2001)] });
    await watch.delta((text) => text.includes("+2001@tor1"));
    expect(held(watch.inbox.seen)).toEqual(
      new Set([...Array.from({ length: 1500 }, (_, n) => n), 2000, 2001].filter((n) => n !== 7)),
    );
  });

  test("H8: of MACs with very many prefixes comes in messages of about 1 MB, a change too", async () => {
    await started();
    const tor1 = await nva.nve("tor1", "10.0.0.1");
    const many = (n: number, count: number) =>
      claim(n, {
        prefixes: Array.from({ length: count }, (_, i) => ({
          ip: Buffer.from([0xfd, n, i >> 8, i & 255, ...new Array(12).fill(0)]),
          length: 64,
        })),
      });
    const numbers = Array.from({ length: 6 }, (_, n) => n);
    for (const n of numbers) await tor1.told({ claims: [many(n, 10_000)] });
    const watch = nva.watch("tor2");
    watch.ask({ add: [vn(1)] });
    await watch.until("snapshotEnd");
    const snapshot = watch.inbox.seen.length;
    expect(held(watch.inbox.seen)).toEqual(new Set(numbers));
    await tor1.told({ claims: numbers.map((n) => many(n, 9000)) });
    await watch.delta((text) => text.includes("+5@tor1"));
    const sizes = watch.inbox.seen.map((event) => WatchEvent.encode(event).finish().length);
    expect(Math.max(...sizes)).toBeLessThan(1_300_000);
    expect(watch.inbox.seen.length).toBeGreaterThan(snapshot + 1);
    const mappings = watch.inbox.seen
      .slice(snapshot)
      .flatMap(({ event }) => (event?.$case === "delta" ? event.value.mappings : []));
    expect(mappings.map(({ prefixes }) => prefixes.length)).toEqual(numbers.map(() => 9000));
  }, 30_000);

  test("of a VN that is deleted says so, and tells of it when it is made again", async () => {
    await started();
    const watch = nva.watch("tor1");
    watch.ask({ add: [vn(1), vn(3)] });
    await watch.until("snapshotEnd");
    await watch.until("snapshotEnd");
    expect(watch.inbox.seen.map(readable)).toContain("vn 3 gone");
    await destroy(1);
    expect(readable({ event: { $case: "delta", value: await watch.delta() } })).toBe("vn 1 gone");
    await create("green");
    await watch.delta((text) => text === "vn 3 is green");
  });

  test("of a VN that is deleted while its snapshot is under way comes to the end of it", async () => {
    await started();
    const tor1 = await nva.nve("tor1", "10.0.0.1");
    const prefixes = manyPrefixes();
    for (let n = 0; n < 6; n++) await tor1.told({ claims: [claim(n, { prefixes })] });
    const watch = nva.watch("tor2");
    watch.ask({ add: [vn(1)] });
    await watch.until("snapshotBegin");
    watch.call.pause(); // 1.5 MB are more than is sent to one who does not read
    await destroy(1);
    watch.call.resume();
    await watch.until("snapshotEnd");
    expect(watch.inbox.seen.map(readable)).toContain("vn 1 gone");
    expect(held(watch.inbox.seen).size).toBeLessThan(6);
  }, 30_000);

  test("of a VN that is watched anew, deleted and made again does not go back", async () => {
    await started();
    const tor1 = await nva.nve("tor1", "10.0.0.1");
    const prefixes = manyPrefixes();
    const watch = nva.watch("tor2");
    watch.ask({ add: [vn(1), vn(2)] });
    await watch.until("snapshotEnd");
    await watch.until("snapshotEnd");
    watch.call.pause(); // 1.5 MB are more than is sent to one who does not read
    for (let n = 0; n < 6; n++) await tor1.told({ claims: [claim(n, { vnId: 2, prefixes })] });
    watch.ask({ add: [vn(1)], remove: [1] });
    await tor1.told({}); // by now the NVA has read it
    await destroy(1);
    watch.call.resume();
    await watch.until("snapshotEnd");
    const revisions = watch.inbox.seen.flatMap(({ event }) =>
      event?.$case === "delta" && event.value.vnId === 1 ? [event.value.revision] : [],
    );
    expect(watch.inbox.seen.map(readable)).toContain("vn 1 gone");
    expect(revisions).toEqual([...revisions].sort((a, b) => Number(a - b)));
  }, 30_000);

  test.each([
    ["VN ID 0", { add: [vn(0)] }, /3 VN ID 0/],
    ["no NVE id", { nveId: "" }, /3 NVE id/],
  ])("with %s is refused", async (_, request, reason) => {
    await started();
    const watch = nva.watch("tor1");
    watch.ask(request);
    expect(await watch.inbox.ended).toMatch(reason);
  });
});

describe("a cursor", () => {
  /** A watch of VN 1 up to now, and where it stands. */
  async function stand() {
    const watch = nva.watch("tor2");
    watch.ask({ add: [vn(1)] });
    const end = await watch.until("snapshotEnd");
    watch.call.cancel();
    return "cursor" in end ? end.cursor : undefined;
  }

  test("that is good brings what changed since, and no snapshot", async () => {
    await started();
    const tor1 = await nva.nve("tor1", "10.0.0.1");
    await tor1.told({ joinedVns: [1], claims: [claim(1), claim(2), claim(3)] });
    const cursor = await stand();
    await tor1.told({ claims: [claim(4)], withdrawn: [{ vnId: 1, mac: macOf(1) }] });
    await tor1.told({ claims: [claim(9, { vnId: 2 })] });
    const watch = nva.watch("tor2");
    watch.ask({ add: [{ vnId: 1, cursor }] });
    await watch.delta();
    await tor1.told({ claims: [claim(5)] });
    await watch.delta((text) => text.includes("+5"));
    expect(watch.inbox.seen.map(readable)).toEqual(["vn 1 +4@tor1 -1", "vn 1 +5@tor1"]);
  });

  test("of another store, from the future, or of another life of the VN brings a snapshot", async () => {
    await started();
    const cursor = await stand();
    if (cursor === undefined) throw new Error("no cursor");
    const foreign = { ...cursor, storeId: uuid("00000000-0000-4000-8000-000000000009") };
    for (const useless of [foreign, { ...cursor, revision: 99n }]) {
      const watch = nva.watch("tor2");
      watch.ask({ add: [{ vnId: 1, cursor: useless }] });
      await watch.until("snapshotEnd");
    }
    await destroy(1);
    await call(
      nva.northbound,
      nva.northbound.createVn,
      CreateVnRequest.create({ alias: "x", vnId: 1 }),
    );
    const watch = nva.watch("tor2");
    watch.ask({ add: [{ vnId: 1, cursor }] });
    await watch.until("snapshotEnd");
  });

  test("of a VN deleted meanwhile brings that it is gone", async () => {
    await started();
    const cursor = await stand();
    await destroy(1);
    const watch = nva.watch("tor2");
    watch.ask({ add: [{ vnId: 1, cursor }] });
    await watch.delta((text) => text === "vn 1 gone");
    expect(watch.kinds()).toEqual(["delta"]);
  });

  test("outlives a restart of the NVA on an lmdb store; NVEs are stale until they are back", async () => {
    await started("lmdb");
    const tor1 = await nva.nve("tor1", "10.0.0.1");
    await tor1.told({ joinedVns: [1], claims: [claim(1), claim(2)] });
    const cursor = await stand();
    await tor1.told({ withdrawn: [{ vnId: 1, mac: macOf(2) }] });
    await nva.restart();
    const watch = nva.watch("tor2");
    watch.ask({ add: [{ vnId: 1, cursor }] });
    await watch.delta((text) => text.includes("+1@tor1 stale") && text.includes("-2"));
    expect(watch.kinds()).toEqual(["delta"]);
    const again = await nva.nve("tor1", "10.0.0.1");
    await again.told({ joinedVns: [1], claims: [claim(1)], complete: true });
    await watch.delta((text) => text === "vn 1 +1@tor1");
  });
});

test("a slow watcher costs memory by what it watches, not by how often that changes", async () => {
  await started();
  const tor1 = await nva.nve("tor1", "10.0.0.1");
  const watch = nva.watch("tor2");
  watch.ask({ add: [vn(1)] });
  await watch.until("snapshotEnd");
  watch.call.pause();
  const rounds = 90;
  for (let round = 1; round <= rounds; round++) {
    const ips = Array.from({ length: 60 }, (_, i) => ip(`fd00::${round.toString(16)}:${i}`));
    await tor1.told({ claims: [1, 2, 3, 4, 5, 6, 7, 8, 9, 10].map((n) => claim(n, { ips })) });
  }
  const one = 10 * 60 * 18; // octets of one round's delta, at least
  watch.call.resume();
  const last = ip(`fd00::${rounds.toString(16)}:0`);
  const isLast = (event: WatchEvent): boolean =>
    event.event?.$case === "delta" &&
    event.event.value.mappings.some((m) => m.mac.equals(macOf(10)) && m.ips[0]?.equals(last));
  await watch.inbox.next((event) => isLast(event));
  const octets = watch.inbox.seen.reduce((n, e) => n + WatchEvent.encode(e).finish().length, 0);
  expect(octets).toBeGreaterThan(one);
  expect(octets).toBeLessThan((rounds * one) / 3);
}, 30_000);

/** What a watcher that follows the rules holds. */
function held(events: readonly WatchEvent[]): Set<number> {
  const macs = new Set<number>();
  for (const { event } of events) {
    if (event?.$case === "snapshotBegin") macs.clear();
    if (event?.$case !== "delta") continue;
    for (const { mac } of event.value.mappings) macs.add(mac.readUInt16BE(4));
    for (const mac of event.value.withdrawn) macs.delete(mac.readUInt16BE(4));
  }
  return macs;
}
