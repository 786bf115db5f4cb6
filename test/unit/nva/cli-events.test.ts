import grpc from "@grpc/grpc-js";
import type { Outside } from "@nve/nva/cli/outside";
import { Duplicate } from "@nve/protocol-spec/proto/northbound";
import { afterEach, beforeEach, describe, expect, test, vi } from "vitest";
import { type Rig, rig } from "../../sim/nva/rig.ts";
import { type FakeNorthbound, fakeNorthbound } from "../../support/fake-northbound.ts";
import { runNva } from "../../support/nva-cli.ts";

describe("nva events", () => {
  let nva: Rig;
  beforeEach(async () => {
    nva = await rig();
  });
  afterEach(() => nva.stop());
  const run = (...argv: string[]) => runNva(nva.address, argv);
  const json = async (...argv: string[]) => JSON.parse((await run(...argv, "--json")).text);

  test("tells who did what, oldest first, and what fits the prefixes only", async () => {
    expect((await run("events")).text).toBe("no events");
    expect(await json("events")).toEqual([]);
    await run("tenant", "create", "acme");
    await run("vn", "create", "blue", "--tenant", "acme");
    await run("vn", "create", "red");
    const all = await json("events");
    expect(all).toMatchObject([
      { id: 1, actor: "local", action: "tenant.create", object: "acme", refused: false },
      { action: "vn.create", object: "acme/blue" },
      { id: 3, action: "vn.create", object: "default/red" },
    ]);
    expect((await run("events")).lines[1]).toMatch(
      /^ +2 {2}\d{4}-\d\d-\d\dT[\d:.]+Z {2}local +vn\.create +acme\/blue$/,
    );
    expect(await json("events", "--action", "vn.", "--object", "acme/")).toEqual([all[1]]);
    expect(await json("events", "--after", "2")).toEqual([all[2]]);
  });

  test("tells all, however many pages they are", async () => {
    const names = Array.from({ length: 1_200 }, (_, i) => `t${i}: {}`).join(", ");
    await runNva(nva.address, ["apply", "-f", "-", "--yes"], {
      read: async () => `tenants: { ${names} }`,
    });
    expect(await json("events")).toHaveLength(1_200);
  }, 30_000);
});

describe("nva events --follow", () => {
  let nva: FakeNorthbound;
  const lines: string[] = [];
  const notes: string[] = [];
  beforeEach(async () => {
    nva = await fakeNorthbound();
    lines.length = 0;
    notes.length = 0;
  });
  afterEach(() => nva.stop());

  /** Resolves when it has ended. What it prints is in `lines`. */
  function follow(...flags: string[]) {
    const more: Partial<Outside> = {
      print: (line) => lines.push(line),
      note: (line) => notes.push(line),
    };
    return runNva(nva.address, ["events", "--follow", ...flags], more);
  }
  const followed = () => vi.waitUntil(() => nva.followers > 0, { timeout: 10_000, interval: 5 });
  const printed = (count: number) =>
    vi.waitUntil(() => lines.length >= count, { timeout: 10_000, interval: 5 });
  const event = (object: string) => ({ actor: "local", action: "vn.create", object, atUnixMs: 0n });
  const objects = () => lines.map((line) => JSON.parse(line).object);

  test("tells what happens from now on, a JSON line each, and how it ended", async () => {
    nva.happen(event("old"));
    const following = follow("--json");
    await followed();
    nva.happen(event("a"));
    nva.happen({ ...event("b"), refused: true, reason: "no", detail: '{"vnId":1}' });
    await printed(2);
    expect(JSON.parse(lines[1] ?? "")).toEqual({
      id: 3,
      at: "1970-01-01T00:00:00.000Z",
      actor: "local",
      action: "vn.create",
      object: "b",
      refused: true,
      reason: "no",
      detail: { vnId: 1 },
      revision: 0,
    });
    nva.refuseFollowers("too many follow");
    const { errors, exitCode } = await following;
    expect(errors).toBe("error: too many follow\n");
    expect(exitCode).toBe(1);
    expect(objects()).toEqual(["a", "b"]);
  });

  test("asks for all after what it has seen, also where that is nothing yet", async () => {
    const following = follow("--json");
    await followed();
    expect(nva.calls.at(-1)).toMatchObject(["followEvents", { after: 0n }]);
    nva.refuseFollowers("");
    await following;
  });

  test("tells first what there is after --after", async () => {
    for (const one of ["a", "b", "c"]) nva.happen(event(one));
    const following = follow("--json", "--after", "1");
    await printed(2);
    await followed();
    nva.happen(event("d"));
    await printed(3);
    expect(objects()).toEqual(["b", "c", "d"]);
    nva.refuseFollowers("");
    await following;
  });

  test("while nobody decides it waits, also when it has told some only; at its start it says so", async () => {
    for (const one of ["a", "b", "c"]) nva.happen(event(one));
    let count = 0;
    const away = { code: grpc.status.UNAVAILABLE, details: "no NVA decides" };
    nva.onCall((method) => {
      count += method === "listEvents" ? 1 : 0;
      if (count === 2 || count === 3) throw Object.assign(new Error("away"), away);
    });
    const following = follow("--json", "--after", "1");
    await printed(2);
    expect(objects()).toEqual(["b", "c"]);
    await followed();
    nva.refuseFollowers("");
    await following;
    count = 1;
    const { errors, exitCode } = await follow("--after", "1");
    expect(errors).toMatch(/^error: no NVA decides/);
    expect(exitCode).toBe(1);
  });

  test("goes on where it was when the NVA has been away", async () => {
    nva.happen(event("old"));
    const following = follow("--json");
    await followed();
    nva.happen(event("a"));
    await printed(1);
    await nva.restart();
    nva.happen(event("meanwhile"));
    await printed(2);
    await followed();
    nva.happen(event("b"));
    await printed(3);
    expect(objects()).toEqual(["a", "meanwhile", "b"]);
    expect(notes[0]).toMatch(/^the NVA is away, waiting for it/);
    nva.refuseFollowers("");
    await following;
  }, 20_000);

  test("a line for people says why something was refused, and nothing that a terminal obeys", async () => {
    const following = follow();
    await followed();
    nva.happen({ ...event("x"), refused: true, reason: "not \u001b[31mregistered" });
    await printed(1);
    expect(lines[0]).toMatch(/local {7}vn\.create {9}x refused: not \?\[31mregistered$/);
    nva.refuseFollowers("");
    await following;
  });
});

describe("nva duplicates", () => {
  let nva: FakeNorthbound;
  beforeEach(async () => {
    nva = await fakeNorthbound();
  });
  afterEach(() => nva.stop());
  const run = (...argv: string[]) => runNva(nva.address, argv);

  test("lists what is frozen or only told, and until when", async () => {
    const one = Duplicate.fromPartial({
      vnId: 1,
      mac: Buffer.from("020000000001", "hex"),
      moves: 5,
      sinceUnixMs: 0n,
      frozen: true,
      sources: ["nve:tor1", "nve:tor2"],
    });
    const ip = { ...one, ips: [Buffer.from([10, 0, 0, 1])], frozen: false };
    const timed = { ...one, untilUnixMs: 60_000n };
    nva.answer("listDuplicates", () => ({ duplicates: [one, ip, timed] }));
    expect((await run("duplicates", "list", "--vn", "blue")).lines).toEqual([
      expect.stringMatching(/^VN ID +MAC +IPS +MOVES +SINCE +FROZEN +SOURCES$/),
      expect.stringMatching(
        /^1 +02:00:00:00:00:01 +- +5 +1970\S+ +until cleared +nve:tor1,nve:tor2$/,
      ),
      expect.stringMatching(/^1 +02:00:00:00:00:01 +10\.0\.0\.1 +5 +1970\S+ +- +nve/),
      expect.stringMatching(/^1 +02:00:00:00:00:01 +- +5 +1970\S+ +until 1970-01-01T00:01:00/),
    ]);
    expect(nva.calls[0]).toMatchObject([
      "listDuplicates",
      { vn: { ref: { $case: "alias", value: "blue" } } },
    ]);
  });

  test("says that there are none, and clears one", async () => {
    expect((await run("duplicates", "list")).text).toBe("no duplicate addresses");
    const { text } = await run("duplicates", "clear", "acme/blue", "02-00-00-00-00-01", "--json");
    expect(JSON.parse(text)).toMatchObject({ cleared: "02:00:00:00:00:01", vn: "acme/blue" });
  });
});
