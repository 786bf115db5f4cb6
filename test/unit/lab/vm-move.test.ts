import type { End } from "@nve/lab/vm/move";
import { CutOff, journal, move } from "@nve/lab/vm/move";
import { Vnic } from "@nve/protocol-spec/proto/agent";
import { expect, test } from "vitest";

type Heard = Parameters<Parameters<End["monitor"]["hear"]>[0]>[0];

/** One end whose QEMU says what the test says, and whose switch answers when the test lets it. */
function endOf(server: string) {
  const listeners: ((event: Heard) => void)[] = [];
  const told: string[] = [];
  const asked: string[] = [];
  const answers: { stage: string; answer(error?: Error): void }[] = [];
  const vnic = Vnic.create({});
  const nothing = async () => {};
  const end: End = {
    monitor: {
      ask: async (command) => void asked.push(command),
      status: async () => "running",
      readyToMigrate: nothing,
      failure: async () => "no reason",
      hear: (listener) => void listeners.push(listener),
      ended: new Promise(() => {}),
      close: () => {},
    },
    hypervisor: {
      server,
      vnics: async () => [],
      prepare: async () => vnic,
      stage: (_, stage) => {
        told.push(stage);
        return new Promise((resolve, reject) => {
          const answer = (error?: Error) => (error ? reject(error) : resolve(vnic));
          answers.push({ stage, answer });
        });
      },
      detach: nothing,
      close: () => {},
    },
  };
  const say = (name: string, unixMs: number, data: Record<string, unknown> = {}) => {
    for (const listener of listeners) listener({ name, unixMs, data });
  };
  return { end, told, asked, say, answers };
}

const settle = () => new Promise((resolve) => setImmediate(resolve));
const status = (is: string) => ({ status: is });

function begun(signal = new AbortController().signal) {
  const [source, destination] = [endOf("srv1"), endOf("srv3")];
  const way = { vnic: Vnic.create({}), to: "/there" };
  const moving = move(source.end, destination.end, way, journal(), signal);
  moving.catch(() => {});
  return { source, destination, moving };
}

test("both switches are told when the VM stands still, and it is waited for both", async () => {
  const { source, destination, moving } = begun();
  await settle();
  source.say("STOP", 100);
  expect([source.told, destination.told]).toEqual([["suspended"], ["active"]]);
  source.say("MIGRATION", 101, status("completed"));
  destination.say("RESUME", 110);
  let isOver = false;
  void moving.then(() => {
    isOver = true;
  });
  destination.answers[0]?.answer();
  await settle();
  expect(isOver).toBe(false);
  source.answers[0]?.answer();
  expect(await moving).toMatchObject({ stoppedMs: 100, resumedMs: 110 });
});

test("V1: when it fails then, the source is active again after the destination's switch has answered", async () => {
  const { source, destination, moving } = begun();
  await settle();
  source.say("STOP", 100);
  source.answers[0]?.answer();
  source.say("MIGRATION", 101, status("failed"));
  source.say("RESUME", 102);
  await settle();
  expect(source.told).toEqual(["suspended"]);
  destination.answers[0]?.answer();
  await settle();
  expect(source.told).toEqual(["suspended", "active"]);
  source.answers[1]?.answer();
  await expect(moving).rejects.toThrow("the migration to srv3 has failed: no reason");
});

test("V1: what the destination's switch refuses while the VM stands still is called off: it runs on at the source", async () => {
  const { source, destination, moving } = begun();
  await settle();
  source.say("STOP", 100);
  source.answers[0]?.answer();
  destination.answers[0]?.answer(new Error("refused"));
  await settle();
  expect(source.asked).toContain("migrate_cancel");
  source.say("RESUME", 102);
  await settle();
  source.answers[1]?.answer();
  await expect(moving).rejects.toThrow("refused");
  await expect(moving).rejects.not.toBeInstanceOf(CutOff);
});

test("V1: one that QEMU has sent by then runs at the destination, and it is said that it has no network there", async () => {
  const { source, destination, moving } = begun();
  await settle();
  source.say("STOP", 100);
  source.answers[0]?.answer();
  source.say("MIGRATION", 101, status("completed"));
  destination.say("RESUME", 110);
  destination.answers[0]?.answer(new Error("refused"));
  await expect(moving).rejects.toBeInstanceOf(CutOff);
  await expect(moving).rejects.toThrow("the VM runs on srv3 now, without its network: refused");
});

test("one that is called off before it is sent is not sent", async () => {
  const { source, destination, moving } = begun(AbortSignal.abort());
  await expect(moving).rejects.toThrow("called off");
  expect(source.asked).not.toContain("migrate");
  expect([source.told, destination.told]).toEqual([[], []]);
});
