import { Mac, type Uuid, Uuid as uuid, type VsiSet, vsiIdOf } from "@nve/protocol-spec";
import { Sets, type Whose } from "@nve/switch-agent/port/sets";
import { expect, test } from "vitest";
import { fakeClock } from "../../support/fake-clock.ts";

const good = Mac("52:54:00:00:00:01");
const hostile = Mac("52:54:00:00:00:66");
const vnic = (n: number): Uuid =>
  uuid(`aaaaaaaa-0000-4000-8000-${n.toString(16).padStart(12, "0")}`);

/** The set number `n`, of VNIC `n`, in two parts. */
const named = (n: number): VsiSet => ({
  vsiId: vsiIdOf(vnic(n)),
  hash: Uint8Array.of(0, 0, 0, 0, 0, 0, n >> 8, n & 0xff),
  part: 0,
  parts: 2,
});
const whose = (station: Mac, n: number): Whose => ({
  station,
  manager: new Uint8Array(16),
  vsiId: vsiIdOf(vnic(n)),
});

function sets(stations: number) {
  const clock = fakeClock();
  const asked: Mac[] = [];
  const ask = ({ station }: Whose): number => asked.push(station);
  return { clock, asked, port: new Sets({ clock, stations, maxAddresses: 4096, ask }) };
}

test("H3: on an access network a station that never completes its sets does not keep another's waiting", () => {
  const { clock, asked, port } = sets(4);
  for (let seconds = 0; seconds < 60; seconds += 2) {
    for (let n = 0; n < 5000; n += 100) port.take(whose(hostile, n), named(n));
    clock.advance(2000);
  }
  port.take(whose(good, 9999), named(9999));
  expect(asked.at(-1)).toBe(good);
});

test("a station that has its turn with one set goes on with the next when that is done or given up", () => {
  const { clock, asked, port } = sets(2);
  for (const n of [1, 2, 3]) port.take(whose(good, n), named(n));
  expect(asked).toHaveLength(1);
  port.forget(whose(good, 1));
  expect(asked).toHaveLength(2);
  clock.advance(5000);
  expect(asked).toHaveLength(3);
  expect(port.counters.setsIncomplete).toBe(1);
});

test("a station that is alone is asked for four sets at a time, whatever its address", () => {
  const { asked, port } = sets(1);
  for (const n of [1, 2, 3, 4, 5]) port.take(whose(n % 2 === 0 ? good : hostile, n), named(n));
  expect(asked).toHaveLength(4);
});
