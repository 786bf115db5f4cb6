import type { SwitchMaps } from "@nve/hypervisor-agent/vm-port/ebpf/maps";
import { type Bound, Tables } from "@nve/hypervisor-agent/vm-port/ebpf/tables";
import { Mac, Vid } from "@nve/protocol-spec";
import fc from "fast-check";
import { expect, test } from "vitest";

/** Maps in memory that take `room` more entries, and then throw. */
function maps() {
  const self = { room: Number.POSITIVE_INFINITY, writes: 0 };
  const all: Record<string, Map<string, unknown>> = {};
  const map = (name: string) => {
    const entries = new Map<string, unknown>();
    all[name] = entries;
    return {
      set(key: unknown, value: unknown) {
        self.writes += 1;
        self.room -= 1;
        if (self.room < 0) throw new Error("full");
        entries.set(JSON.stringify(key), value);
      },
      delete: (key: unknown) => entries.delete(JSON.stringify(key)),
    };
  };
  const names = ["bindings", "guestTags", "stations", "segments", "flood"] as const;
  const made = Object.fromEntries(names.map((name) => [name, map(name)]));
  return Object.assign(self, { all, maps: made as unknown as SwitchMaps });
}

const size = (all: Record<string, Map<string, unknown>>) =>
  Object.fromEntries(Object.entries(all).map(([name, { size }]) => [name, size]));

const bound = (ifindex: number, tag: number, mac: number, vid: number): Bound => ({
  ifindex,
  guestTag: tag === 0 ? 0 : Vid(tag),
  mac: Mac(`02:00:00:00:00:${mac.toString(16).padStart(2, "0")}`),
  uplink: 9,
  vid: Vid(vid),
});

/** By interface and VN, with a MAC of the interface's own: none contradicts another. */
const bindings = fc
  .uniqueArray(
    fc.record({ ifindex: fc.nat({ max: 3 }), vid: fc.nat({ max: 3 }), more: fc.nat({ max: 2 }) }),
    { selector: ({ ifindex, vid }) => `${ifindex} ${vid}` },
  )
  .chain((all) =>
    fc
      .array(fc.nat({ max: 3 }), { minLength: 4, maxLength: 4 })
      .map((shift) =>
        all.flatMap(({ ifindex, vid, more }) =>
          Array.from({ length: more + 1 }, (_, n) =>
            bound(ifindex, (vid + (shift[ifindex] ?? 0)) % 4, 16 * ifindex + n, 100 + vid),
          ),
        ),
      ),
  );

test("whatever was bound before, and wherever that stopped half-way, the maps have what is bound now", () => {
  const step = fc.record({ wanted: bindings, room: fc.option(fc.nat({ max: 20 })) });
  fc.assert(
    fc.property(fc.array(step), bindings, (steps, last) => {
      const [used, fresh] = [maps(), maps()];
      const tables = new Tables(used.maps, (task) => task());
      for (const { wanted, room } of steps) {
        used.room = room ?? Number.POSITIVE_INFINITY;
        try {
          tables.replace(wanted);
        } catch {
          // the next one puts it right
        }
      }
      used.room = Number.POSITIVE_INFINITY;
      tables.replace(last);
      new Tables(fresh.maps, (task) => task()).replace(last);
      for (const name of ["bindings", "guestTags", "stations"]) {
        expect(new Map([...(used.all[name] ?? [])].sort())).toEqual(
          new Map([...(fresh.all[name] ?? [])].sort()),
        );
      }
      // Lists of other generations, and of no more than they have.
      expect(size(used.all)).toEqual(size(fresh.all));
    }),
  );
});

test("what is bound already is not written again", () => {
  const used = maps();
  const tables = new Tables(used.maps, (task) => task());
  const many = Array.from({ length: 200 }, (_, n) => bound(1, 0, n, 100));
  tables.replace(many);
  const before = used.writes;
  tables.replace([...many, bound(2, 7, 250, 101)]);
  expect(used.writes - before).toBeLessThanOrEqual(5);
});
