import { Authority } from "@nve/nva/authority/authority";
import { createVn } from "@nve/nva/catalogue/decide";
import { actedBy } from "@nve/nva/server/events";
import { CallerGone, Keeper } from "@nve/nva/server/keeper";
import { memoryStore } from "@nve/nva/store/memory";
import type { Store } from "@nve/nva/store/store";
import { Instant } from "@nve/protocol-spec";
import { expect, test } from "vitest";
import { fakeClock } from "../../support/fake-clock.ts";
import { holdMs, noTables, uuid, vnWish } from "./world.ts";

/** A keeper whose commits wait until the test lets them pass, or fails them. */
function keeping() {
  const store = memoryStore();
  const gates: { pass: () => void; fail: (error: Error) => void }[] = [];
  let wake = (): void => {};
  const slow: Store = Object.create(store, {
    revision: { get: () => store.revision },
    commit: {
      value: async (...args: Parameters<Store["commit"]>) => {
        await new Promise<void>((pass, fail) => {
          gates.push({ pass, fail });
          wake();
        });
        return store.commit(...args);
      },
    },
  });
  const clock = fakeClock();
  const keeper = new Keeper(new Authority(noTables, holdMs, Instant(0)), slow, clock);
  return {
    keeper,
    create: (n: number) =>
      keeper.change((all, now) => createVn(all, vnWish(`vn${n}`, uuid(n)), now)),
    /** The commit that waits now, or next. */
    async gate() {
      if (gates.length === 0)
        await new Promise<void>((resolve) => {
          wake = resolve;
        });
      const gate = gates.shift();
      if (gate === undefined) throw new Error("no commit waits");
      return gate;
    },
  };
}

test("nobody sees what is not stored yet", async () => {
  const { keeper, create, gate } = keeping();
  const made = create(1);
  const commit = await gate();
  const seen = keeper.ask((all) => [all.vnCount, keeper.revision]);
  const early = await Promise.race([seen, new Promise((resolve) => setImmediate(resolve, "none"))]);
  expect(early).toBe("none");
  commit.pass();
  expect(await seen).toEqual([1, 1]);
  expect(await made).toMatchObject({ revision: 1 });
});

test("what comes during a commit shares the next one, and its revision", async () => {
  const { create, gate } = keeping();
  const first = create(1);
  const commit = await gate();
  const more = [create(2), create(3), create(4)];
  commit.pass();
  (await gate()).pass();
  expect((await first).revision).toBe(1);
  expect((await Promise.all(more)).map(({ revision }) => revision)).toEqual([2, 2, 2]);
});

test("a look that asks for another look gets it, though no commit follows", async () => {
  const { keeper, create, gate } = keeping();
  const made = create(1);
  const commit = await gate();
  const seen = new Promise((resolve) => {
    keeper.read(() => keeper.read((all) => keeper.read(() => resolve(all.vnCount))));
  });
  commit.pass();
  await made;
  const late = new Promise((resolve) => setImmediate(resolve, "never"));
  expect(await Promise.race([seen, late])).toBe(1);
});

test("when the store fails, it goes no further and says so", async () => {
  const { keeper, create, gate } = keeping();
  let answered = false;
  create(1).finally(() => {
    answered = true;
  });
  (await gate()).fail(new Error("no space left on device"));
  expect((await keeper.failed).message).toBe("no space left on device");
  await expect(create(2)).rejects.toThrow("stopping");
  expect(answered).toBe(false);
  await keeper.stop();
});

test("nothing is changed for a caller that has given up while its change waited, and others go on", async () => {
  const { keeper, create, gate } = keeping();
  const caller = { name: "client", isGone: false };
  const first = create(1);
  const commit = await gate();
  const late = keeper.change(
    actedBy(caller, (all, now) => createVn(all, vnWish("vn2", uuid(2)), now)),
  );
  const third = create(3);
  caller.isGone = true;
  commit.pass();
  (await gate()).pass();
  await expect(late).rejects.toThrow(CallerGone);
  expect(await first).toMatchObject({ revision: 1 });
  expect(await third).toMatchObject({ revision: 2 });
  expect(await keeper.ask((all) => all.vns().map(({ vn }) => vn.alias))).toEqual(["vn1", "vn3"]);
});
