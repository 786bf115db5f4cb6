import { Authority } from "@nve/nva/authority/authority";
import type { Session } from "@nve/nva/authority/nve-state";
import type { Step } from "@nve/nva/authority/records";
import { perSlice } from "@nve/nva/authority/slices";
import { createVn, put, remove } from "@nve/nva/catalogue/decide";
import { Keeper } from "@nve/nva/server/keeper";
import { memoryStore } from "@nve/nva/store/memory";
import { loadTables } from "@nve/nva/store/rows";
import type { Store } from "@nve/nva/store/store";
import { HypervisorId, Mac } from "@nve/protocol-spec";
import { expect, test } from "vitest";
import { fakeClock } from "../../support/fake-clock.ts";
import { policy } from "./ruled.ts";
import { blue, claim, holdMs, location, report, uuid, vnWish } from "./world.ts";

const count = 5 * perSlice + 7;
const many = Array.from({ length: count }, (_, n) =>
  claim(0, {
    mac: Mac(`02:00:00:${n.toString(16).padStart(6, "0").replace(/../g, "$&:").slice(0, -1)}`),
    vnic: uuid(n),
    hypervisor: HypervisorId(n % 2 === 0 ? "even" : "odd"),
  }),
);

/** Over a store of its own that forgets nothing, as a process does that begins, and dies when the test says so. */
function running() {
  const store = memoryStore();
  const clock = fakeClock();
  const changes: number[] = [];
  let dies = Number.POSITIVE_INFINITY;
  let died = (): void => {};
  const commits: Store = Object.create(store, {
    revision: { get: () => store.revision },
    commit: {
      value: async (...args: Parameters<Store["commit"]>) => {
        if (store.revision >= dies) {
          died();
          await new Promise(() => {}); // never
        }
        changes.push(args[0].length);
        return store.commit(...args);
      },
    },
  });
  const begin = async () => {
    const all = new Authority(await loadTables(store), holdMs, clock.now());
    const keeper = new Keeper(all, commits, clock);
    await keeper.change((authority, now) => authority.start(now));
    const resumed = keeper.change((authority, now) => authority.resume(now));
    return { all, keeper, resumed };
  };
  return {
    store,
    clock,
    begin,
    /** Rows that each commit changed since this was asked before. */
    takeChanges: () => changes.splice(0),
    /** Stores so many commits more. Resolves when another was tried. */
    dieAfter: (more: number) =>
      new Promise<void>((resolve) => {
        dies = store.revision + more;
        died = resolve;
      }),
    live: () => {
      dies = Number.POSITIVE_INFINITY;
    },
  };
}

type Running = Awaited<ReturnType<ReturnType<typeof running>["begin"]>>;
const rows = async (store: Store, table: "claim" | "member" | "history") => {
  let found = 0;
  for await (const _ of store.list(table)) found += 1;
  return found;
};

async function connect({ keeper }: Running): Promise<Session> {
  const at = location("tor1", "10.0.0.1");
  const { result } = await keeper.change((all, now) => all.connectNve(at, uuid(1), now));
  if ("refused" in result) throw new Error(result.refused);
  return result;
}

const createBlue = ({ keeper }: Running) =>
  keeper.change((all, now) => createVn(all, vnWish("blue", uuid(blue), { vnId: blue }), now));
const deleteBlue = ({ keeper }: Running) =>
  keeper.change((all, now) => remove(all, { kind: "vn", name: "1" }, { force: true }, now));
const tell = ({ keeper }: Running, session: Session, said: Parameters<typeof report>[0]) =>
  keeper.change((all, now) => all.report(session, report(said), now));

/** VN blue with very many VNICs. */
async function crowded() {
  const made = running();
  const nva = await made.begin();
  await createBlue(nva);
  const session = await connect(nva);
  await tell(nva, session, { joined: [blue], claims: many });
  expect(nva.all.claimCount).toBe(count);
  made.takeChanges();
  return { ...made, nva, session };
}

const isSliced = (changes: readonly number[]): void => {
  expect(changes.length).toBeGreaterThanOrEqual(count / perSlice);
  expect(Math.max(...changes)).toBeLessThan(4 * perSlice);
};

test("a VN with very many VNICs is gone at once, its rows go in slices", async () => {
  const { nva, store, takeChanges } = await crowded();
  let during = 0;
  const deleted = deleteBlue(nva);
  const other = nva.keeper.change((_, now): Step<number> => {
    during = nva.all.vnCount;
    return { changes: [], touched: new Map(), result: now };
  });
  await other;
  expect(during).toBe(0);
  expect(await rows(store, "claim")).toBeGreaterThan(0); // the other did not wait for all of it
  const { revision, ended } = await deleted;
  expect(ended).toBeGreaterThan(revision);
  expect(await rows(store, "claim")).toBe(0);
  expect(await rows(store, "member")).toBe(0);
  expect(await rows(store, "history")).toBe(0);
  isSliced(takeChanges());
});

test("a crash while the rows of a VN go: the next start goes on, and another VN with its ID finds none of them", async () => {
  const { nva, store, begin, dieAfter, live } = await crowded();
  const crash = dieAfter(2);
  deleteBlue(nva);
  await crash;
  live();
  expect(await rows(store, "claim")).toBeGreaterThan(0);
  const again = await begin();
  expect(again.all.vnCount).toBe(0);
  await createBlue(again);
  expect(again.all.claimCount).toBe(0);
  await again.resumed;
  expect(await rows(store, "claim")).toBe(0);
  expect(await rows(store, "member")).toBe(0);
  const session = await connect(again);
  await tell(again, session, { joined: [blue], claims: many.slice(0, 3) });
  expect(await rows(store, "claim")).toBe(3);
});

test("a VN that is made anew while the rows of its predecessor go loses none of its own", async () => {
  const { nva, session, store, begin } = await crowded();
  const deleted = deleteBlue(nva);
  const made = createBlue(nva);
  await made;
  await tell(nva, session, { joined: [blue], claims: many.slice(0, 10) });
  await deleted;
  expect(nva.all.claimCount).toBe(10);
  expect(await rows(store, "claim")).toBe(10);
  const again = await begin();
  expect(again.all.claimCount).toBe(10);
});

const out = policy("out", { order: 1, deny: true, hypervisors: ["odd"] });

test("H26: a policy against very many lets go of them in slices, and is acknowledged when all are gone", async () => {
  const { nva, takeChanges } = await crowded();
  const told: string[] = [];
  nva.keeper.onCommit((_all, _touched, _revision, { disconnect }) => {
    for (const { vnics } of disconnect) told.push(...vnics);
  });
  await nva.keeper.change((all, now) => put(all, { kind: "policy", wish: out }, undefined, now));
  expect(nva.all.claimCount).toBe(Math.ceil(count / 2));
  expect(new Set(told).size).toBe(Math.floor(count / 2));
  expect(told.length).toBe(Math.floor(count / 2));
  const changes = takeChanges();
  expect(changes.length).toBeGreaterThan(2);
  expect(Math.max(...changes)).toBeLessThan(4 * perSlice);
});

test("H26: a policy that is taken back in the midst lets go of nobody else", async () => {
  const { nva } = await crowded();
  const putting = nva.keeper.change((all, now) =>
    put(all, { kind: "policy", wish: out }, undefined, now),
  );
  await nva.keeper.change((all, now) =>
    remove(all, { kind: "policy", name: "out" }, { force: false }, now),
  );
  await putting;
  expect(nva.all.claimCount).toBe(count - 2 * perSlice); // the second slice came before it
});

test("H26: a crash while a policy lets go: who is left is refused when its NVE comes back", async () => {
  const { nva, begin, dieAfter, live, clock } = await crowded();
  const crash = dieAfter(2);
  nva.keeper.change((all, now) => put(all, { kind: "policy", wish: out }, undefined, now));
  await crash;
  live();
  clock.advance(1);
  const again = await begin();
  expect(again.all.claimCount).toBeGreaterThan(Math.ceil(count / 2));
  const session = await connect(again);
  await tell(again, session, { joined: [blue], claims: many, complete: true });
  expect(again.all.claimCount).toBe(Math.ceil(count / 2));
});

test("what an NVE has not named goes in slices, and its complete report is acknowledged at the last", async () => {
  const { nva, takeChanges } = await crowded();
  const session = await connect(nva);
  const said = { joined: [blue], claims: many.slice(0, 5), complete: true };
  const whole = tell(nva, session, said);
  const more = tell(nva, session, { claims: many.slice(5, 8) });
  await more;
  expect(nva.all.claimCount).toBeGreaterThan(8);
  const { revision, ended } = await whole;
  expect(ended).toBeGreaterThan(revision);
  expect(nva.all.claimCount).toBe(8);
  isSliced(takeChanges());
});

test("what a lost NVE claims goes in slices when its hold time is over, and it goes with the last", async () => {
  const { nva, session, clock, store, takeChanges } = await crowded();
  await nva.keeper.change((all, now) => all.loseNve(session, now));
  takeChanges();
  clock.advance(holdMs + 1);
  const { result } = await nva.keeper.change((all, now) => all.tick(now));
  expect(result).toEqual(["tor1"]);
  expect(nva.all.claimCount).toBe(0);
  expect(await rows(store, "member")).toBe(0);
  isSliced(takeChanges());
});

test("an NVE that comes back while what it claimed goes keeps the rest, until it has named all that it has", async () => {
  const { nva, session, clock } = await crowded();
  await nva.keeper.change((all, now) => all.loseNve(session, now));
  clock.advance(holdMs + 1);
  const ticked = nva.keeper.change((all, now) => all.tick(now));
  const back = await connect(nva);
  expect((await ticked).result).toEqual([]);
  expect(nva.all.claimCount).toBeGreaterThan(perSlice);
  await tell(nva, back, { joined: [blue], claims: many.slice(0, 4), complete: true });
  expect(nva.all.claimCount).toBe(4);
  expect(nva.all.nve(location("tor1", "10.0.0.1").nveId)?.deadline).toBeUndefined();
});
