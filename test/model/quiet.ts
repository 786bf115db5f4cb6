import type { Mapping, Vn } from "@nve/protocol-spec/proto/types";
import { modalVn, registrations } from "./admission.ts";
import type { Audit } from "./audit.ts";
import { keyOf, partsOf } from "./book.ts";
import { contentOf } from "./content.ts";
import type { Contest } from "./contest.ts";
import { freezingVn } from "./freezes.ts";
import type { Northbound } from "./northbound.ts";
import { after } from "./one-nva.ts";
import type { Random } from "./random.ts";
import type { SimNve } from "./sim-nve.ts";
import { type SimWatcher, type View, viewText, vnText } from "./sim-watcher.ts";
import type { World } from "./world.ts";

type Parts = {
  world: World;
  northbound: Northbound;
  audit: Audit;
  vns: readonly number[];
  nves: readonly SimNve[];
  watchers: readonly SimWatcher[];
  contest: Contest | undefined;
  random: Random;
  /** Makes authorities begin anew from what they have stored; absent: nothing of theirs can be broken. */
  restart: (() => Promise<void>) | undefined;
  /** This one does not come back: what it has goes when its hold time is over. */
  stays: SimNve | undefined;
  failed: () => unknown;
};

/** So long what must come may take: an NVA may stand still for seconds on a busy machine, and start anew after that. */
const comesMs = 120_000;

/** Lets everything come to rest, and holds all there is against what was written. @throws Violation */
export async function quiet(parts: Parts): Promise<void> {
  const { world, nves, stays, audit, watchers } = parts;
  world.trace.say("all comes to rest");
  for (const nve of nves)
    if (nve === stays) nve.stop(true);
    else nve.start(true);
  for (const watcher of watchers) watcher.go();
  await until(parts, "every NVE has told all", () =>
    nves.every((one) => one === stays || one.settled),
  );
  if (stays !== undefined) await gone(parts, stays);
  await settle(parts);
  if (parts.contest !== undefined) await contest(parts, parts.contest);
  if (parts.random.chance(0.6)) await judgeAnew(parts);
  await thaw(parts);
  const listed = await audit.claims();
  const mappings = await audit.mappings(listed);
  const { northbound } = parts;
  const { book } = world;
  const stale = listed.find((one) => one.stale);
  if (stale !== undefined)
    throw world.trace.violation(`${stale.source} is back, its claim is stale`, partsOf(stale.key));
  const vns = await northbound.vns();
  const revision = await northbound.revision();
  await converge(parts, vns, mappings);
  for (const key of book.keys())
    if (vns.some(({ vnId }) => vnId === partsOf(key).vn)) await audit.lookup(key);
  book.checkTold();
  for (const vn of book.takeDied()) for (const watcher of watchers) watcher.forgetSequences(vn);
  book.settle(revision);
}

/** Waits for something that must come. @throws Violation when it does not, in two minutes */
async function until(
  { world, failed }: Parts,
  what: string,
  is: () => boolean | Promise<boolean>,
): Promise<void> {
  for (const end = performance.now() + comesMs; ; ) {
    const failure = failed();
    if (failure !== undefined) throw failure;
    if (await is()) return;
    if (performance.now() > end)
      throw world.trace.violation(`not within ${comesMs / 1000} s: ${what}`);
    await after(5);
  }
}

async function gone(parts: Parts, nve: SimNve): Promise<void> {
  const { northbound, world } = parts;
  world.trace.say(`${nve.id} stays away`);
  await until(parts, `${nve.id}, which is away, is forgotten`, async () => {
    const known = await northbound.nves();
    return known.every(({ location }) => location?.nveId !== nve.id);
  });
  nve.gone(true);
}

/** A duplicate, or a migration, in the VN that freezes duplicates. */
async function contest(parts: Parts, rivals: Contest): Promise<void> {
  const { world, northbound, nves, random } = parts;
  const { book, trace } = world;
  const isHeld = random.chance(0.7); // into the next round, whatever breaks in it
  const freezes = () =>
    known(book.shape(freezingVn).certain(trace.now)).value?.startsWith("freezes") === true;
  if (known(book.vn(freezingVn).certain(trace.now)).value === undefined)
    await northbound.create(freezingVn);
  if (known(book.vn(freezingVn).certain(trace.now)).value === undefined) return;
  const isHard = random.chance(0.9);
  if (isHeld || !freezes()) await northbound.put(freezingVn, 1400, "freezes until cleared");
  if (!freezes()) return;
  const isUntilCleared =
    known(book.shape(freezingVn).certain(trace.now)).value === "freezes until cleared";
  const restart = isHard && isUntilCleared ? parts.restart : undefined;
  await rivals.decide(nves, random, (what, is) => until(parts, what, is), restart);
  await until(parts, "every NVE is back", () =>
    nves.every((one) => one === parts.stays || one.settled),
  );
}

/** A VN that is open is not any more, and who is registered is so no more: the audit that comes next tells who is left. */
async function judgeAnew(parts: Parts): Promise<void> {
  const { world, northbound, nves, random } = parts;
  const { book, trace } = world;
  const keys = [...book.keys()].filter((key) => partsOf(key).vn === modalVn);
  const [first, second] = [random.pick(keys), random.pick(keys)];
  const contents = [first, second].map((key) => contentOf(random, key));
  const registration = random.pick(registrations);
  const mode = random.pick(["registered", "strict", "strict"]);
  const isLast = random.chance(0.5);
  if (known(book.vn(modalVn).certain(trace.now)).value === undefined) return;
  await northbound.put(modalVn, 1400, "open");
  for (const [n, nve] of nves.filter(({ alive }) => alive).entries()) {
    const [key, content] = n % 2 === 0 ? [first, contents[0]] : [second, contents[1]];
    if (content !== undefined) nve.change({ claims: [{ key, content, sequence: 0 }] });
  }
  await until(parts, "what is judged anew is there", () =>
    nves.every((one) => !one.alive || one.settled),
  );
  await northbound.register(first, registration);
  await northbound.put(modalVn, 1401, mode);
  await parts.audit.claims();
  if (isLast) await northbound.register(first, undefined);
}

/** What is frozen for a time is so no more: its time is over, or a client ends it. */
async function thaw(parts: Parts): Promise<void> {
  const { northbound, random } = parts;
  const timed = async () =>
    (await northbound.duplicates(freezingVn)).filter((one) => one.frozen && one.untilUnixMs > 0n);
  if (random.chance(0.5))
    for (const { vnId, mac } of await timed())
      await northbound.clear(keyOf(vnId, mac.toString("hex")));
  await parts.audit.claims();
  await until(parts, "what is frozen for a time is so no more", async () => {
    return (await timed()).length === 0;
  });
}

const known = (one: { value: string | undefined } | "unsure"): { value: string | undefined } =>
  one === "unsure" ? { value: undefined } : one;

/** Of what may be one thing or the other, NVEs say which it is. */
async function settle(parts: Parts): Promise<void> {
  const { world, nves, vns } = parts;
  const { book, trace } = world;
  await until(parts, "what became of calls without an answer is known", () => world.doubts.none);
  for (const vn of vns)
    await until(parts, `it is known whether VN ${vn} is there`, async () => {
      if (book.vn(vn).certain(trace.now) !== "unsure") return true;
      await parts.northbound.create(vn);
      return false;
    });
  for (const key of book.keys())
    await until(parts, `it is known to what ${key} is bound`, async () => {
      if (book.binding(key).certain(trace.now) !== "unsure") return true;
      await parts.northbound.unbind(key);
      return false;
    });
  for (const key of book.keys())
    await until(parts, `it is known with what the VNIC of ${key} is registered`, async () => {
      if (book.registration(key).certain(trace.now) !== "unsure") return true;
      await parts.northbound.register(key, undefined);
      return false;
    });
  for (const vn of vns)
    await until(parts, `it is known what VN ${vn} is`, async () => {
      const { value } = known(book.vn(vn).certain(trace.now));
      if (value === undefined || book.shape(vn).certain(trace.now) !== "unsure") return true;
      await parts.northbound.put(vn, 1400, "plain");
      return false;
    });
  for (const vn of vns)
    for (const { id } of nves)
      await until(parts, `it is known whether ${id} is kept out of VN ${vn}`, async () => {
        if (book.policy(id, vn).certain(trace.now) !== "unsure") return true;
        await parts.northbound.allow(id, vn);
        return false;
      });
  for (const vn of vns)
    if (
      book
        .vn(vn)
        .possible(trace.now, trace.now + 1)
        .has(undefined)
    )
      for (const nve of nves) nve.forget(vn);
  for (const nve of nves) {
    const unsure = (): [string[], number[]] => [
      [...book.keys()].filter((key) => book.claim(nve.id, key).certain(trace.now) === "unsure"),
      vns.filter((vn) => book.member(nve.id, vn).certain(trace.now) === "unsure"),
    ];
    const [keys, members] = unsure();
    if (nve === parts.stays || (keys.length === 0 && members.length === 0)) continue;
    nve.insist(keys, members);
    await until(parts, `${nve.id} has told what it is`, () => nve.settled);
    const left = unsure().flat();
    const [key = ""] = left.map(String);
    if (left.length > 0)
      throw trace.violation(`the model does not know ${left} of ${nve.id}`, partsOf(key));
  }
}

/** What every watcher must hold now. */
async function converge(parts: Parts, vns: readonly Vn[], mappings: readonly Mapping[]) {
  const { world, watchers } = parts;
  const { book, trace } = world;
  const wanted = new Map<number, Wanted>();
  for (const vn of parts.vns) {
    const there = vns.find(({ vnId }) => vnId === vn);
    const value = book.vn(vn).certain(trace.now);
    if (value !== "unsure" && (value.value !== undefined) !== (there !== undefined))
      throw trace.violation(`VN ${vn} is ${there ? "" : "not "}there`, { vn });
    wanted.set(vn, {
      vn: there === undefined ? undefined : vnText(there),
      mappings: new Map(
        mappings
          .filter(({ vnId }) => vnId === vn)
          .map((mapping) => [mapping.mac.toString("hex"), viewText(mapping)]),
      ),
      members: new Map(
        parts.nves.flatMap(({ id, vtep }) => {
          const member = book.member(id, vn).certain(trace.now);
          return member !== "unsure" && member.value !== undefined ? [[id, vtep]] : [];
        }),
      ),
    });
  }
  for (const watcher of watchers)
    for (const [vn, view] of watcher.views) {
      let differs: string | undefined;
      await until({ ...parts, world }, `${watcher.id} has VN ${vn} as it is`, () => {
        differs = difference(view, wanted.get(vn));
        return differs === undefined;
      }).catch((error) => {
        const [mac] = /[0-9a-f]{12}/.exec(differs ?? "") ?? [];
        if (differs === undefined) throw error;
        throw trace.violation(`${watcher.id} has ${differs}`, { vn, ...(mac && { mac }) });
      });
    }
}

type Wanted = Pick<View, "vn" | "mappings" | "members">;

function difference(view: View, wanted: Wanted | undefined): string | undefined {
  if (wanted === undefined) return undefined;
  if (view.vn !== wanted.vn) return `VN ${view.vn}, it is ${wanted.vn}`;
  if (view.unnamed !== undefined) return "no end of its snapshot";
  for (const part of ["mappings", "members"] as const)
    for (const key of new Set([...view[part].keys(), ...wanted[part].keys()])) {
      const [has, is] = [view[part].get(key), wanted[part].get(key)];
      if (has !== is) return `${key} as ${has ?? "nothing"}, it is ${is ?? "nothing"}`;
    }
  return undefined;
}
