import { binder } from "@nve/hypervisor-agent/binder";
import type { Binding } from "@nve/hypervisor-agent/vm-port/vm-port";
import { Mac, Vid } from "@nve/protocol-spec";
import { expect, test } from "vitest";

const binding = (vid: number): Binding => ({
  interface: "tap0",
  guestTag: 0,
  mac: Mac("02:00:00:00:00:0a"),
  uplink: "eth0",
  vid: Vid(vid),
});

/** A virtual switch that takes bindings when the test says so. */
function slowSwitch() {
  const asked: { vids: number[]; take: () => void; refuse: (error: Error) => void }[] = [];
  const bind = (bindings: readonly Binding[]): Promise<void> =>
    new Promise((take, refuse) => {
      asked.push({ vids: bindings.map(({ vid }) => vid), take, refuse });
    });
  return { bind, asked };
}

const settled = () => new Promise((resolve) => setImmediate(resolve));

test("one at a time, and only the latest of those that waited", async () => {
  const { bind, asked } = slowSwitch();
  const put = binder({ bind });
  const all = [put(() => [binding(1)]), put(() => [binding(2)]), put(() => [binding(3)])];
  await settled();
  expect(asked.map(({ vids }) => vids)).toEqual([[3]]);
  const later = put(() => [binding(4)]);
  asked[0]?.take();
  await Promise.all(all);
  await settled();
  expect(asked.map(({ vids }) => vids)).toEqual([[3], [4]]);
  asked[1]?.take();
  await later;
});

test("a refusal is told to who asked, the next one is tried", async () => {
  const { bind, asked } = slowSwitch();
  const put = binder({ bind });
  const first = put(() => [binding(1)]);
  await settled();
  asked[0]?.refuse(new Error("no"));
  await expect(first).rejects.toThrow("no");
  const second = put(() => [binding(2)]);
  await settled();
  asked[1]?.take();
  await second;
});
