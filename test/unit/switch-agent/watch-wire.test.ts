import { inspect } from "node:util";
import { Delta, WatchEvent } from "@nve/protocol-spec/proto/nve";
import { type Location, Mapping, Vn } from "@nve/protocol-spec/proto/types";
import { Places, readWatchEvent, type Told } from "@nve/switch-agent/nva-client/watch-wire";
import { expect, test } from "vitest";
import { random } from "../../support/cable.ts";

const mac = (n: number) => Buffer.from([2, 0, 0, 0, n >> 8, n & 255]);
const location = (n: number): Location => ({
  nveId: `tor${n}`,
  vteps: [Buffer.from([192, 0, 2, n]), Buffer.alloc(16, n)],
  encapsulations: [1, 2],
});
const mapping = (n: number): Mapping => ({
  vnId: 5001,
  mac: mac(n),
  ips: [Buffer.from([10, 0, 0, n & 255]), Buffer.alloc(16, n & 255)].slice(0, n % 3),
  prefixes: n % 4 === 0 ? [{ ip: Buffer.from([10, n & 255, 0, 0]), length: 16 }] : [],
  locations: Array.from({ length: n % 5 === 0 ? 2 : 1 }, (_, i) => location(1 + ((n + i) % 7))),
  sequence: 2n ** 63n + BigInt(n),
  vnic: Buffer.alloc(16, n & 255),
  sticky: n % 2 === 0,
  anycast: false,
  suspended: true,
  stale: false,
});
const delta = (count: number): Delta => ({
  ...Delta.create({ vnId: 5001, revision: 2n ** 40n, membersLeft: ["tor9"] }),
  vn: Vn.create({ vnId: 5001, alias: "blue" }),
  mappings: Array.from({ length: count }, (_, n) => mapping(n)),
  withdrawn: [mac(7000)],
  members: [location(3)],
});
const octetsOf = (event: WatchEvent["event"]) => Buffer.from(WatchEvent.encode({ event }).finish());
const read = (octets: Buffer) => readWatchEvent(octets, new Places());

/** As much of an event as an NVE is told. */
function needed({ event }: Told | WatchEvent): unknown {
  if (event?.$case !== "delta") return event;
  const list = (all: readonly Uint8Array[]) => all.map((octets) => [...octets]);
  const mappings = event.value.mappings.map(({ mac, ips, prefixes, locations }) => ({
    mac: [...mac],
    ips: list(ips),
    prefixes: prefixes.map(({ ip, length }) => ({ ip: [...ip], length })),
    locations: locations.map(({ nveId, vteps }) => ({ nveId, vteps: list(vteps) })),
  }));
  return { ...event.value, mappings };
}

test.each([0, 1, 200])("of %i mappings as much is read as the generated reader reads", (count) => {
  const octets = octetsOf({ $case: "delta", value: delta(count) });
  expect(needed(read(octets))).toEqual(needed(WatchEvent.decode(octets)));
});

test("what is no delta is read as ever", () => {
  const cursor = { storeId: Buffer.alloc(16, 1), revision: 7n };
  for (const $case of ["snapshotBegin", "snapshotEnd"] as const) {
    const octets = octetsOf({ $case, value: { vnId: 5001, cursor } });
    expect(read(octets)).toEqual({ event: { $case, value: { vnId: 5001, cursor } } });
  }
  expect(read(octetsOf({ $case: "bookmark", value: cursor }))).toMatchObject({
    event: { $case: "bookmark", value: { revision: 7n } },
  });
  expect(read(Buffer.alloc(0)).event).toBeUndefined();
});

test("an NVE that many mappings have is read once, and is not a piece of their message", () => {
  const octets = octetsOf({ $case: "delta", value: delta(200) });
  const { event } = read(octets);
  if (event?.$case !== "delta") throw new Error("a delta was written");
  const before = needed({ event });
  const places = new Set(event.value.mappings.flatMap(({ locations }) => locations));
  expect(places.size).toBe(7);
  const vteps = [...places].flatMap((one) => one.vteps);
  expect(vteps.every(({ buffer, byteLength }) => buffer.byteLength === byteLength)).toBe(true);
  expect(needed({ event })).toEqual(before);
});

test("A16: fields of a newer NVA are passed over; the last of a field twice counts", () => {
  const known = Buffer.from(Mapping.encode(mapping(3)).finish());
  const more = Buffer.from([
    ...[0x98, 0x06, 0xac, 0x02], // field 99, a varint
    ...[0xa1, 0x06, 1, 2, 3, 4, 5, 6, 7, 8], // field 100, 64 bits
    ...[0xad, 0x06, 1, 2, 3, 4], // field 101, 32 bits
    ...[0xb2, 0x06, 2, 1, 1], // field 102, two octets
    ...[0x12, 6, ...mac(9)], // another MAC
    ...[0x10, 5], // field 2 as a varint: not the MAC
  ]);
  const inner = Buffer.concat([known, more]);
  const body = Buffer.concat([Buffer.from([0x2a, inner.length]), inner]);
  const octets = Buffer.concat([Buffer.from([0x12, body.length]), body]);
  expect(inner.length).toBeLessThan(126);
  expect(needed(read(octets))).toEqual(needed(WatchEvent.decode(octets)));
});

test("V10: a damaged message is read or refused, nearly always as the generated reader does", () => {
  const next = random(7);
  const whole = octetsOf({ $case: "delta", value: delta(6) });
  const outcome = (act: () => Told | WatchEvent): string => {
    try {
      return inspect(needed(act()), { depth: 9, maxArrayLength: 999 });
    } catch (error) {
      return error instanceof Error ? "refused" : "thrown";
    }
  };
  const seen = { same: 0, other: 0, refused: 0 };
  for (let n = 0; n < 1000; n++) {
    const octets = Buffer.from(whole.subarray(0, n % 3 === 0 ? next() * whole.length : undefined));
    for (let i = 0; i < 1 + (n % 3); i++) octets[Math.floor(next() * octets.length)] = next() * 256;
    const mine = outcome(() => read(octets));
    // That one reads beyond the end of a part that is damaged, into what comes behind it.
    seen[mine === outcome(() => WatchEvent.decode(octets)) ? "same" : "other"] += 1;
    if (mine === "refused") seen.refused += 1;
    expect(mine).not.toBe("thrown");
  }
  expect(seen.refused).toBeGreaterThan(300);
  expect(seen.other).toBeLessThan(40);
});
