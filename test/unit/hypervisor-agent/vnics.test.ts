import { Deadlines } from "@nve/hypervisor-agent/stations/deadlines";
import { onAnother } from "@nve/hypervisor-agent/stations/turn";
import { dueAt, type Peer, type Vnic } from "@nve/hypervisor-agent/stations/vnic";
import { Vnics } from "@nve/hypervisor-agent/stations/vnics";
import { Instant, Mac, stationStart, Uuid, Vid, VnId } from "@nve/protocol-spec";
import fc from "fast-check";
import { expect, test } from "vitest";
import { agreed } from "./book.ts";

const few = fc.integer({ min: 1, max: 4 });
const name = few.map((n) => Uuid(`aaaaaaaa-0000-4000-8000-00000000000${n}`));
const mac = few.map((n) => Mac(`02:00:00:00:00:0${n}`));
const leaf = fc.record({ vn: few.map(VnId), mac, vid: few.map(Vid) });
const instant = fc.integer({ min: 0, max: 9 }).map(Instant);

const vnic: fc.Arbitrary<Vnic> = fc
  .record({
    name,
    interface: few.map((n) => `tap${n}`),
    wanted: fc.array(leaf, { minLength: 1, maxLength: 3 }),
    granted: fc.option(fc.array(leaf, { minLength: 1, maxLength: 3 }), { nil: undefined }),
    retryAt: fc.option(instant, { nil: undefined }),
  })
  .map(({ wanted, granted, retryAt, ...rest }) => ({
    ...rest,
    wanted: wanted.map(({ vn, mac }) => ({ vn, macs: [{ mac, ips: [] }] })),
    granted: granted && { tree: [], tagged: granted },
    station: stationStart,
    phase: "wanted",
    retry: { count: 0, ...(retryAt !== undefined && { at: retryAt }) },
    unbound: false,
  }));

const change = fc.oneof(
  { weight: 4, arbitrary: vnic.map((vnic) => ({ do: "set" as const, vnic })) },
  { weight: 1, arbitrary: name.map((name) => ({ do: "delete" as const, name })) },
);
const peer: Peer = { link: "up", evb: agreed, reads: new Set() };

test("whatever was set and taken out, the indexes find what a walk over all VNICs finds", () => {
  fc.assert(
    fc.property(fc.array(change, { maxLength: 40 }), vnic, (changes, asked) => {
      const vnics = new Vnics();
      for (const one of changes) {
        if (one.do === "delete") vnics.delete(one.name);
        else vnics.set(one.vnic);
        vnics.schedule(one.do === "delete" ? one.name : one.vnic.name, peer);
      }
      const all = [...vnics.values()];
      const { wanted, granted: { tagged = [] } = {} } = asked;
      const sameTag = (other: Vnic): boolean =>
        other.granted?.tagged.some((old) =>
          tagged.some(({ vid, vn }) => vid === old.vid && vn !== old.vn),
        ) ?? false;
      const onIt = all.filter((other) => other.interface === asked.interface);
      const found = vnics.on(asked.interface);
      expect(found === undefined ? onIt : onIt.includes(found)).toEqual(found ? true : []);
      expect(new Set(vnics.contradicting(tagged))).toEqual(new Set(all.filter(sameTag)));
      const clash = onAnother(all, asked.name, wanted);
      expect(onAnother(vnics.sharing(wanted), asked.name, wanted) === undefined).toBe(
        clash === undefined,
      );
      expect(vnics.firstDue).toBe(Math.min(...all.map((vnic) => dueAt(vnic, peer))));
      const due = all.filter((vnic) => dueAt(vnic, peer) <= 5).map(({ name }) => name);
      expect(new Set(vnics.takeDue(5))).toEqual(new Set(due));
    }),
  );
});

test("of many times that are set again and again, the earliest in force comes first", () => {
  const at = fc.oneof(instant, fc.constantFrom(-Infinity, Infinity));
  const set = fc.record({ key: fc.integer({ min: 0, max: 30 }), at });
  fc.assert(
    fc.property(fc.array(set, { maxLength: 400 }), instant, (sets, now) => {
      const deadlines = new Deadlines<number>();
      const last = new Map<number, number>();
      for (const { key, at } of sets) {
        deadlines.set(key, at);
        last.set(key, at);
        expect(deadlines.first).toBe(Math.min(...last.values()));
      }
      const due = deadlines.take(now);
      expect(new Set(due).size).toBe(due.length);
      expect(due.map((key) => last.get(key))).toEqual(
        [...last.values()].filter((at) => at <= now).sort((a, b) => (a < b ? -1 : 1)),
      );
    }),
  );
});
