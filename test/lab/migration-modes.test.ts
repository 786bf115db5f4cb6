import { expect, test, vi } from "vitest";
import { until } from "../support/lab.ts";
import { isWhole, numbers, useMover } from "../support/migration-lab.ts";
import { threeRacks } from "../support/three-racks.ts";
import { useTwoRacks, type Vm, vm } from "../support/two-racks.ts";

// One lab for the file. What is lost is what the mode says: from the shutdown to the start, from the suspension to the
// arrival, nothing. The network adds nothing to it.
const lab = useTwoRacks(threeRacks("migration: { forwardSeconds: 1, forwardMostSeconds: 20 }\n"));
const red1 = vm("red1");
const peer = { ...vm("red4"), tor: "tor3" };
const mover = useMover(lab, red1);
vi.setConfig({ testTimeout: 180_000 }); // a command takes seconds where many share the machine
const { where, say, prepare, rests } = mover;
/** red1 as it is on the other server. */
let there: Vm;

type Counted = { sent: number[]; heard: number[][] };

/** The source hears all from the first on, the destination all to the last, and nobody anything twice. @returns what was lost */
function gapOf({ sent, heard: [first = [], second = []] }: Counted): number[] {
  expect(first.length).toBeGreaterThan(0);
  expect(second.length).toBeGreaterThan(0);
  const [last, next] = [first.at(-1) ?? 0, second[0] ?? 0];
  expect(first).toEqual(numbers(1, last));
  expect(second).toEqual(numbers(next, sent.length));
  return numbers(last + 1, next - 1);
}

/** What the mode itself takes: a shutdown, or the copying of memory; one datagram of the stream goes each millisecond. */
const meanwhile = (ms: number) => new Promise((resolve) => setTimeout(resolve, ms));

test("M9, H22: cold: shut down here, started there with the same addresses: what comes between the two is lost, and nothing before or after", async () => {
  await lab.createVns();
  await lab.ready("srv1", "srv3", "srv4");
  mover.vnic = (await lab.attach(red1)).vnic;
  await lab.attach(peer);
  there = await lab.addVm({ ...red1, vm: "red1-srv3", server: "srv3" });
  expect(await lab.ping(peer.vm, red1.ip)).toBe(true);

  const stream = await mover.streaming(peer, [red1, there]);
  await lab.detach(red1);
  await until("the NVA to forget it", async () => (await where()) === undefined || undefined);
  await meanwhile(500);
  await lab.attach(there, "--vnic", mover.vnic);
  expect(await where()).toBe("tor2");
  expect(await lab.ping(peer.vm, red1.ip)).toBe(true);
  expect(gapOf(await stream()).length).toBeGreaterThanOrEqual(500 / 2);
  expect(await lab.show("nva", "nva", "migration", "list")).toEqual([]); // it was none
  expect(await lab.tags("tor1")).toEqual([]);
});

test("M9, M8: warm: suspended here, prepared and resumed there: what comes while it is suspended is dropped and counted, nothing else is lost", async () => {
  await lab.run("nva", "nva", "vn", "update", "red", "--suspended", "drop");
  await until("tor2 to have it", async () => {
    await say("suspend", there);
    const isDropped = !(await lab.ping(peer.vm, red1.ip, 1));
    await say("activate", there);
    return isDropped || undefined;
  });
  expect(await lab.ping(peer.vm, red1.ip)).toBe(true);
  const before = await lab.dropped("tor2", "suspended");

  const stream = await mover.streaming(peer, [there, red1]);
  await say("suspend", there); // its memory is copied from now on
  await meanwhile(500);
  await prepare(red1);
  expect(await where()).toBe("tor2");
  await say("activate", red1);
  expect(await where()).toBe("tor1");
  await lab.detach(there);
  expect(await lab.ping(peer.vm, red1.ip)).toBe(true);
  const lost = gapOf(await stream()).length;
  expect(lost).toBeGreaterThanOrEqual(500 / 2);
  expect((await lab.dropped("tor2", "suspended")) - before).toBe(lost); // the network has lost none but these
  expect(await rests("completed", red1, peer)).toMatchObject({ hinted: true });
});

test("M9, M2: hot: prepared there while it runs here, suspended, resumed there: nothing is lost, nothing comes twice", async () => {
  await lab.run("nva", "nva", "vn", "update", "red", "--suspended", "deliver");
  const stream = await mover.streaming(peer, [red1, there]);
  await prepare(there);
  expect(await where()).toBe("tor1");
  await say("suspend", red1);
  await say("activate", there);
  expect(await where()).toBe("tor2");
  await lab.detach(red1);
  expect(await lab.ping(peer.vm, red1.ip)).toBe(true);
  const counted = await stream();
  expect(counted.heard[1]?.length).toBeGreaterThan(0);
  isWhole(counted);
  expect(await rests("completed", there, peer)).toMatchObject({ hinted: true });
});
