import { type GuardOptions, openGuard } from "@nve/linux";
import { type Lldpdu, Mac, nonceTlv, SEAL_OCTETS } from "@nve/protocol-spec";
import { expect, test } from "vitest";

const server = Mac("02:00:00:00:00:51");
const tor = Mac("02:00:00:00:00:70");
const old = { id: 1, secret: new Uint8Array(16).fill(1) };
const young = { id: 2, secret: new Uint8Array(32).fill(2) };
const ulpdu = Uint8Array.of(0x0a, 0x10, ...new Uint8Array(16), 0x00, 0x00).subarray(0, 18);

const lldpduOf = (...nonce: Uint8Array[]): Lldpdu => ({
  chassisId: { subtype: 7, octets: Uint8Array.of(1) },
  portId: { subtype: 5, octets: Uint8Array.of(2) },
  ttl: 120,
  tlvs: nonce.map(nonceTlv),
});

/** A side with its nonce, and what it was told. */
function side(role: GuardOptions["role"], nonce: number, more: Partial<GuardOptions> = {}) {
  const told: string[] = [];
  const mine = new Uint8Array(16).fill(nonce);
  const guard = openGuard({
    role,
    mac: () => (role === "station" ? server : tor),
    keys: [old],
    required: true,
    nonce: mine,
    unixMicros: () => 1_000,
    onProven: (from, key) => told.push(`${from} ${key}`),
    onRefused: (from, why) => told.push(`${from} ${why}`),
    ...more,
  });
  return { guard, told, lldpdu: lldpduOf(mine) };
}

test("Req-11: what a station seals the bridge opens, and the other way", () => {
  const [station, bridge] = [side("station", 1), side("bridge", 2)];
  const asked = station.guard.seal(ulpdu, tor, bridge.lldpdu);
  expect(asked).toHaveLength(ulpdu.length + SEAL_OCTETS);
  expect(bridge.guard.open(asked, server)).toEqual({ body: ulpdu, proven: true });
  const answered = bridge.guard.seal(ulpdu, server, station.lldpdu);
  expect(station.guard.open(answered, tor)).toEqual({ body: ulpdu, proven: true });
  expect([station.told, bridge.told]).toEqual([[`${tor} 1`], [`${server} 1`]]);
});

test("the same octets count once; later ones count, earlier ones do not", () => {
  const [station, bridge] = [side("station", 1), side("bridge", 2)];
  const [first, second, third] = [1, 2, 3].map(() => station.guard.seal(ulpdu, tor, bridge.lldpdu));
  const heard = [first, second, second, first, third].map(
    (octets) => bridge.guard.open(octets ?? ulpdu, server) !== undefined,
  );
  expect(heard).toEqual([true, true, false, false, true]);
  expect(bridge.told).toEqual([`${server} 1`, `${server} replayed`, `${server} replayed`]);
});

test("a station that is started anew counts from its clock, and is heard", () => {
  const bridge = side("bridge", 2);
  const before = side("station", 1);
  for (let n = 0; n < 5; n += 1)
    bridge.guard.open(before.guard.seal(ulpdu, tor, bridge.lldpdu), server);
  const after = side("station", 3, { unixMicros: () => 2_000.5 });
  const octets = after.guard.seal(ulpdu, tor, bridge.lldpdu);
  expect(bridge.guard.open(octets, server)?.proven).toBe(true);
  const backwards = side("station", 4, { unixMicros: () => 500 });
  expect(
    bridge.guard.open(backwards.guard.seal(ulpdu, tor, bridge.lldpdu), server),
  ).toBeUndefined();
  expect(bridge.told.at(-1)).toBe(`${server} replayed`);
});

test("what was sealed for an earlier run of the bridge, for another port, or by another station is bad", () => {
  const station = side("station", 1);
  const octets = station.guard.seal(ulpdu, tor, side("bridge", 2).lldpdu);
  const bridge = side("bridge", 3);
  expect(bridge.guard.open(octets, server)).toBeUndefined();
  const same = side("bridge", 2);
  expect(same.guard.open(octets, Mac("02:00:00:00:00:52"))).toBeUndefined();
  const reflected = side("station", 2, { mac: () => tor });
  expect(reflected.guard.open(octets, server), "sent back to where it came from").toBeUndefined();
  expect([bridge.told, same.told, reflected.told].flat().map((line) => line.slice(18))).toEqual([
    "bad",
    "bad",
    "bad",
  ]);
});

test("every octet of it is sealed", () => {
  const [station, bridge] = [side("station", 1), side("bridge", 2)];
  const octets = station.guard.seal(ulpdu, tor, bridge.lldpdu);
  for (let at = 0; at < octets.length; at += 1) {
    const changed = Uint8Array.from(octets);
    changed[at] = (changed[at] ?? 0) ^ 1;
    expect(bridge.guard.open(changed, server), `octet ${at}`).toBeUndefined();
  }
  expect(bridge.guard.open(octets, server)?.proven).toBe(true);
});

test("without a seal, with an unknown key, with a wrong one of the same id: each is told", () => {
  const bridge = side("bridge", 2);
  expect(bridge.guard.open(ulpdu, server)).toBeUndefined();
  const stranger = side("station", 1, { keys: [young] });
  bridge.guard.open(stranger.guard.seal(ulpdu, tor, bridge.lldpdu), server);
  const liar = side("station", 1, { keys: [{ ...old, secret: young.secret }] });
  bridge.guard.open(liar.guard.seal(ulpdu, tor, bridge.lldpdu), server);
  bridge.guard.open(Uint8Array.of(0xff), server);
  expect(bridge.told.map((line) => line.slice(18))).toEqual([
    "missing",
    "unknownKey",
    "bad",
    "bad",
  ]);
});

test("where no seal is required what has none counts, unproven; a wrong one does not", () => {
  const bridge = side("bridge", 2, { required: false });
  expect(bridge.guard.open(ulpdu, server)).toEqual({ body: ulpdu, proven: false });
  const liar = side("station", 1, { keys: [{ ...old, secret: young.secret }] });
  expect(bridge.guard.open(liar.guard.seal(ulpdu, tor, bridge.lldpdu), server)).toBeUndefined();
});

test("a peer that has said no nonce is sent what it can read", () => {
  expect(side("station", 1).guard.seal(ulpdu, tor, undefined)).toBe(ulpdu);
  expect(side("station", 1).guard.seal(ulpdu, tor, lldpduOf())).toBe(ulpdu);
});

test("rotation: a bridge that has both keys answers with the one that the station uses", () => {
  const bridge = side("bridge", 2, { keys: [old, young] });
  const [before, after] = [side("station", 1), side("station", 1, { keys: [young] })];
  bridge.guard.open(before.guard.seal(ulpdu, tor, bridge.lldpdu), server);
  expect(before.guard.open(bridge.guard.seal(ulpdu, server, before.lldpdu), tor)?.proven).toBe(
    true,
  );
  bridge.guard.open(after.guard.seal(ulpdu, tor, bridge.lldpdu), server);
  expect(after.guard.open(bridge.guard.seal(ulpdu, server, after.lldpdu), tor)?.proven).toBe(true);
});

test("several stations with keys of their own: each is answered with its own", () => {
  const bridge = side("bridge", 9, { keys: [old, young] });
  const other = Mac("02:00:00:00:00:52");
  const one = side("station", 1);
  const two = side("station", 2, { keys: [young], mac: () => other });
  bridge.guard.open(one.guard.seal(ulpdu, tor, bridge.lldpdu), server);
  bridge.guard.open(two.guard.seal(ulpdu, tor, bridge.lldpdu), other);
  for (const [station, mac] of [
    [one, server],
    [two, other],
  ] as const) {
    const octets = bridge.guard.seal(ulpdu, mac, station.lldpdu);
    expect(station.guard.open(octets, tor)?.proven).toBe(true);
  }
});

test("whoever has a key cannot make the bridge remember addresses without end", () => {
  const bridge = side("bridge", 2);
  const heard = Array.from({ length: 1030 }, (_, n) => {
    const mac = Mac(`02:00:00:01:${hex(n >> 8)}:${hex(n & 255)}`);
    const octets = side("station", 1, { mac: () => mac }).guard.seal(ulpdu, tor, bridge.lldpdu);
    return bridge.guard.open(octets, mac) !== undefined;
  });
  expect(heard.filter(Boolean)).toHaveLength(1024);
  expect(bridge.told.at(-1)).toContain("crowded");
});

const hex = (octet: number): string => octet.toString(16).padStart(2, "0");
