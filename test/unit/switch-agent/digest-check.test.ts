import { VnId } from "@nve/protocol-spec";
import { DigestCheck, type NvaDigests } from "@nve/switch-agent/nva-client/digest";
import type { Told } from "@nve/switch-agent/nve";
import { expect, test } from "vitest";

const vn = VnId(7);
const nothing = { mappings: 0, digest: 0n, members: 1, membersDigest: 5n };

/** What is held of VN 7, and what the NVA says at revision 10. */
function checking() {
  const state = {
    here: { ...nothing, changes: 1 } as Told | "later" | undefined,
    there: { ...nothing },
    revision: 10n,
    answers: true,
    pull: false,
  };
  const differed: VnId[] = [];
  const asked: VnId[][] = [];
  const check = new DigestCheck({
    watched: () => [{ vn, pull: state.pull }],
    told: () => state.here,
    ask: async (vns): Promise<NvaDigests | undefined> => {
      asked.push([...vns]);
      const { revision, there } = state;
      return state.answers ? { revision, vns: new Map([[vn, there]]) } : undefined;
    },
    differs: (one) => differed.push(one),
  });
  return { state, differed, asked, check };
}

test("is made at the first bookmark that is not before the answer", async () => {
  const { check, state } = checking();
  await check.begin();
  check.bookmark(9n);
  expect(check.counters.compared).toBe(0);
  await check.begin(); // one round at a time
  check.bookmark(10n);
  check.bookmark(11n);
  expect(check.counters).toMatchObject({ compared: 1, differing: 0 });
  state.there.mappings = 1;
  await check.begin();
  check.bookmark(12n);
  expect(check.counters).toMatchObject({ compared: 2, differing: 1 });
});

test("a VN of which something was told since the question says nothing", async () => {
  const { check, state, differed } = checking();
  state.there.digest = 1n;
  await check.begin();
  state.here = { ...nothing, changes: 2 };
  check.bookmark(10n);
  expect([check.counters.changing, differed]).toEqual([1, []]);
  await check.begin();
  state.here = undefined; // a snapshot is under way
  check.bookmark(11n);
  expect([check.counters.changing, differed]).toEqual([2, []]);
});

test("of a VN in pull only the members count", async () => {
  const { check, state, differed } = checking();
  state.pull = true;
  Object.assign(state.there, { mappings: 9, digest: 9n });
  await check.begin();
  check.bookmark(10n);
  state.there.membersDigest = 6n;
  expect(differed).toEqual([]);
  await check.begin();
  check.bookmark(10n);
  expect(differed).toEqual([vn]);
});

test("where telling it anew does not help, it is done ever less often", async () => {
  const { check, state, differed } = checking();
  state.there.digest = 1n;
  for (let n = 0; n < 20; n++) {
    await check.begin();
    check.bookmark(10n);
  }
  expect([check.counters.differing, differed.length]).toEqual([20, 5]); // 1, 2, 4, 8, 16
});

test("no answer is counted; what an earlier session asked is nothing to a later one", async () => {
  const { check, state, differed } = checking();
  state.answers = false;
  await check.begin();
  expect(check.counters.unanswered).toBe(1);
  state.answers = true;
  state.there.digest = 1n;
  await check.begin();
  check.reset();
  check.bookmark(10n);
  const late = check.begin();
  check.reset();
  await late;
  check.bookmark(10n);
  expect(differed).toEqual([]);
});

test("digests that are still to be made are made in turns with everything else", async () => {
  const { check, state } = checking();
  state.here = "later";
  const begun = check.begin();
  await new Promise((resolve) => setImmediate(resolve));
  state.here = { ...nothing, changes: 1 };
  await begun;
  check.bookmark(10n);
  expect(check.counters.compared).toBe(1);
});
