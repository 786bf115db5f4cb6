import { call } from "@nve/program";
import {
  CreateVnRequest,
  type Event,
  FollowEventsRequest,
  ListEventsRequest,
} from "@nve/protocol-spec/proto/northbound";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { runNva } from "../../support/nva-cli.ts";
import { claim, type Rig, rig, uuid } from "./rig.ts";

// Of what many do at once nothing is lost in the record, however it is stored.

const vnic = (n: number): string => `00000000-0000-4000-8000-${String(n).padStart(12, "0")}`;
const claims = (first: number, count: number) =>
  Array.from({ length: count }, (_, i) => {
    const n = first + i;
    return claim(n, { vnId: 1 + (n % 2), vnic: uuid(vnic(n)), port: `swp${n % 48}` });
  });

describe.each(["memory", "lmdb"] as const)("events of many VNICs, on %s", (store) => {
  let nva: Rig;
  beforeEach(async () => {
    nva = await rig(store);
    for (const alias of ["blue", "red"])
      await call(nva.northbound, nva.northbound.createVn, CreateVnRequest.create({ alias }));
  });
  afterEach(() => nva.stop());

  async function events(more: Partial<ListEventsRequest>): Promise<Event[]> {
    const all: Event[] = [];
    for (let after = 0n; ; after = all.at(-1)?.id ?? 0n) {
      const request = ListEventsRequest.create({ pageSize: 1000, ...more, after });
      const page = await call(nva.northbound, nva.northbound.listEvents, request);
      if (page.events.length === 0) return all;
      all.push(...page.events);
    }
  }
  const told = ({ action, object, detail }: Event): string => {
    const { vn, port } = JSON.parse(detail) as { vn: string; port: string };
    return `${action} ${object} ${vn} ${port}`;
  };
  const wanted = (action: string, n: number): string =>
    `${action} ${vnic(n)} default/${n % 2 === 0 ? "blue" : "red"} swp${n % 48}`;
  const numbers = Array.from({ length: 3_000 }, (_, i) => i + 1);

  test("each VNIC of a large report is an event of its own, found by its UUID, told to who follows, and there after a restart", async () => {
    const tor1 = await nva.nve("tor1", "10.0.0.1");
    const follower = nva.northbound.followEvents(
      FollowEventsRequest.create({ after: 2n, action: "vnic.", object: vnic(77) }),
    );
    follower.on("error", () => {});
    const followed = new Promise<Event>((resolve) => follower.once("data", resolve));
    for (const first of [1, 1_001, 2_001]) await tor1.told({ claims: claims(first, 1_000) });
    expect(told(await followed)).toBe(wanted("vnic.attach", 77));
    follower.cancel();
    const all = numbers.map((n) => wanted("vnic.attach", n));
    expect((await events({ action: "vnic.attach" })).map(told)).toEqual(all);
    const ids = (await events({})).map(({ id }) => Number(id));
    expect(ids).toEqual(ids.map((_, i) => i + 1));
    if (store === "memory") return;
    await nva.restart();
    const after = await events({ action: "vnic.attach" });
    expect(after.map(told)).toEqual(all);
    for (const n of [1, 999, 1_000, 1_001, 2_999])
      expect((await events({ object: vnic(n) })).map(told)).toEqual([wanted("vnic.attach", n)]);
    const later = await runNva(nva.address, ["events", "--object", vnic(2_500), "--json"]);
    expect(JSON.parse(later.text)).toMatchObject([
      { actor: "nve:tor1", detail: { vn: "default/blue", nve: "tor1" } },
    ]);
    // All of one commit are of its revision.
    const revisions = new Set(after.slice(0, 1_000).map(({ revision }) => revision));
    expect(revisions.size).toBe(1);
  });

  test("whoever follows without a number hears of what is from now on, from 0 of all there is", async () => {
    const objects = (after?: bigint): Promise<string[]> =>
      new Promise((resolve) => {
        const heard: string[] = [];
        const call = nva.northbound.followEvents(FollowEventsRequest.fromPartial({ after }));
        call.on("error", () => {});
        call.on("data", ({ object }: Event) => {
          heard.push(object);
          if (object !== "default/last") return;
          call.cancel();
          resolve(heard);
        });
      });
    const heard = [objects(0n), objects(1n), objects()];
    // The last has begun when the NVA has answered what was asked after it, on the same connection.
    await call(nva.northbound, nva.northbound.status, {});
    await call(nva.northbound, nva.northbound.createVn, CreateVnRequest.create({ alias: "last" }));
    expect(await Promise.all(heard)).toEqual([
      ["default/blue", "default/red", "default/last"],
      ["default/red", "default/last"],
      ["default/last"],
    ]);
  });

  test("what is taken back at once too, and pages from any event on are whole", async () => {
    const tor1 = await nva.nve("tor1", "10.0.0.1");
    await tor1.told({ claims: claims(1, 1_500) });
    await tor1.told({ withdrawn: claims(1, 1_500).map(({ vnId, mac }) => ({ vnId, mac })) });
    const gone = await events({ action: "vnic.detach" });
    expect(gone.map(told)).toEqual(numbers.slice(0, 1_500).map((n) => wanted("vnic.detach", n)));
    const before = await events({});
    if (store === "lmdb") await nva.restart();
    await call(nva.northbound, nva.northbound.createVn, CreateVnRequest.create({ alias: "new" }));
    const all = await events({});
    expect(all.slice(0, before.length)).toEqual(before);
    expect(all.map(({ id }) => Number(id))).toEqual(all.map((_, i) => i + 1));
    for (const after of [0, 1, 998, 999, 1_000, 1_001, 1_502, 2_000, all.length - 1]) {
      const request = ListEventsRequest.create({ after: BigInt(after), pageSize: 3 });
      const page = await call(nva.northbound, nva.northbound.listEvents, request);
      expect(page.events).toEqual(all.slice(after, after + 3));
      expect(Number(page.last)).toBe(all.length);
    }
  });
});
