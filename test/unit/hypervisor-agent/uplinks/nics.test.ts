import { keyOf, type Nic } from "@nve/hypervisor-agent/uplinks/nic";
import { Nics } from "@nve/hypervisor-agent/uplinks/nics";
import { Instant, Mac, Uuid, VnId } from "@nve/protocol-spec";
import fc from "fast-check";
import { expect, test } from "vitest";

const few = fc.integer({ min: 1, max: 4 });
const name = few.map((n) => Uuid(`aaaaaaaa-0000-4000-8000-00000000000${n}`));
const mac = few.map((n) => Mac(`02:00:00:00:00:0${n}`));
const tree = fc.array(
  fc.record({ vn: few.map(VnId), macs: fc.array(mac.map((mac) => ({ mac, ips: [] }))) }),
  { maxLength: 3 },
);
const nic: fc.Arbitrary<Nic> = fc
  .record({
    name,
    interface: few.map((n) => `tap${n}`),
    wanted: tree,
    isBehind: fc.boolean(),
    call: fc.option(fc.record({ older: tree, deadline: few, open: fc.boolean() }), {
      nil: undefined,
    }),
  })
  .map(({ isBehind, call, ...rest }) => ({
    ...rest,
    leaving: false,
    unbound: false,
    at: new Map(),
    behind: isBehind ? [{ vn: "1", uplink: "eth0", binds: 1 }] : [],
    fed: new Map(),
    call: call && {
      ...{ id: 1, for: "change", older: call.older, deadline: Instant(call.deadline) },
      open: new Map(call.open ? [["eth0", { id: 0, before: [] }]] : []),
    },
  }));

const change = fc.oneof(
  { weight: 4, arbitrary: nic.map((nic) => ({ do: "set" as const, nic })) },
  { weight: 1, arbitrary: name.map((name) => ({ do: "delete" as const, name })) },
);

/** As the roster has it: no two calls to books have the same number. */
const numbered = (nic: Nic, id: number): Nic => {
  const open = new Map([...(nic.call?.open ?? [])].map(([at, call]) => [at, { ...call, id }]));
  return { ...nic, call: nic.call && { ...nic.call, open } };
};
const vnsOf = (nics: Iterable<Nic>) =>
  new Set([...nics].flatMap((nic) => [...nic.wanted, ...(nic.call?.older ?? [])].map(keyOf)));

test("whatever was set and taken out, the indexes find what a walk over all VNICs finds", () => {
  fc.assert(
    fc.property(fc.array(change, { maxLength: 40 }), nic, (changes, asked) => {
      const nics = new Nics();
      for (const [n, one] of changes.entries()) {
        const before = vnsOf(nics.values());
        if (one.do === "delete") nics.delete(one.name);
        else nics.set(numbered(one.nic, n));
        const left = [...before].filter((vn) => !vnsOf(nics.values()).has(vn));
        expect(new Set(nics.takeLeft())).toEqual(new Set(left));
      }
      const all = [...nics.values()];
      const has = (which: Nic) =>
        which.wanted.flatMap(({ macs }) => macs.map(({ mac }) => mac as string));
      const macs = new Set(has(asked));
      expect(nics.sharing(asked.wanted)).toEqual(
        new Set(all.filter((one) => has(one).some((mac) => macs.has(mac)))),
      );
      const onIt = all.filter((one) => one.interface === asked.interface);
      const found = nics.on(asked.interface);
      expect(found === undefined ? onIt : onIt.includes(found)).toEqual(found ? true : []);
      expect(new Set(nics.behind())).toEqual(
        new Set(all.filter(({ behind }) => behind.length > 0)),
      );
      for (const id of changes.keys())
        expect(nics.waitingFor(id)).toBe(all.find(({ call }) => call?.open.get("eth0")?.id === id));
      const late = (one: Nic) => (one.call?.deadline ?? Number.POSITIVE_INFINITY) + 1;
      expect(nics.firstDue).toBe(Math.min(...all.map(late)));
      expect(new Set(nics.takeDue(3))).toEqual(new Set(all.filter((one) => late(one) <= 3)));
    }),
  );
});

test("a VN that is left and joined again in one step is not left", () => {
  const nics = new Nics();
  const one = (vn: number): Nic => ({
    ...{ name: Uuid("aaaaaaaa-0000-4000-8000-000000000001"), interface: "tap1" },
    ...{ wanted: [{ vn: VnId(vn), macs: [] }], leaving: false, unbound: false },
    ...{ at: new Map(), behind: [], fed: new Map() },
  });
  for (const vn of [5, 6, 5]) nics.set(one(vn));
  expect(nics.takeLeft()).toEqual(["6"]);
});
