import { Refused } from "@nve/program/errors";
import type { Vnic } from "@nve/protocol-spec/proto/agent";
import type { Hypervisor } from "./hypervisor.ts";
import type { Monitor } from "./monitor.ts";
import { type Moment, now } from "./timeline.ts";

/** The two ends of a move: QEMU's monitor and the hypervisor's agent at each. */
export type End = { monitor: Monitor; hypervisor: Hypervisor };

export type Journal = {
  moments: Moment[];
  /** @param unixMs now, if it is not told */
  note(where: string, what: string, unixMs?: number): void;
};

export function journal(): Journal {
  const moments: Moment[] = [];
  return {
    moments,
    note: (where, what, unixMs = now()) => void moments.push({ unixMs, where, what }),
  };
}

/** When the VM stood still at the source, ran at the destination, and its switch said that frames flow there. */
export type Moved = { stoppedMs: number; resumedMs: number; activatedMs: number };

/** One that does not converge in this time may stand still for longer, and one that does not end at all is called off. */
const PATIENCE_MS = 5_000;
const LONGEST_MS = 60_000;
/** For QEMU to let it run on at the source, and the switch there to hear it. */
const BACK_MS = 5_000;

/**
 * Sends the VM over, and tells both switches what QEMU says at each end as it says it: that it stands still, that it
 * runs. @throws Refused when it fails or `signal` comes: then the VM runs at the source, whose switch has been told
 */
export async function move(
  source: End,
  destination: End,
  { vnic, to }: { vnic: Vnic; to: string },
  { note }: Journal,
  signal: AbortSignal,
): Promise<Moved> {
  const [from, at] = [source.hypervisor.server, destination.hypervisor.server];
  const told = (end: End, stage: "active" | "suspended", verb: string) => {
    note(end.hypervisor.server, `${verb} said`);
    const answer = end.hypervisor.stage(vnic, stage);
    return answer.then(() => note(end.hypervisor.server, `${verb} answered`));
  };
  let stoppedMs = 0;
  let suspended = Promise.resolve();
  let runsOn: () => void = () => {};
  const isBack = new Promise<void>((resolve) => {
    runsOn = resolve;
  });
  const sent = new Promise<void>((resolve, reject) => {
    source.monitor.hear(({ name, data, unixMs = now() }) => {
      if (name === "STOP") {
        stoppedMs = unixMs;
        note(from, "the VM stands still", unixMs);
        suspended = told(source, "suspended", "suspend");
        suspended.catch(reject);
      }
      if (name === "RESUME") {
        note(from, "the VM runs on", unixMs);
        const again = suspended.catch(() => {}).then(() => told(source, "active", "activate"));
        again.then(runsOn, reject);
      }
      if (name !== "MIGRATION") return;
      const { status } = data;
      note(from, `migration: ${status}`, unixMs);
      if (status === "completed") resolve();
      if (status === "cancelled") reject(new Refused(`the migration to ${at} has been called off`));
      if (status !== "failed") return;
      const why = source.monitor.failure().catch(() => "it does not say why");
      void why.then((reason) =>
        reject(new Refused(`the migration to ${at} has failed: ${reason}`)),
      );
    });
    void source.monitor.ended.then(() => reject(new Refused(`the VM's QEMU on ${from} is gone`)));
  });
  const arrived = new Promise<{ resumedMs: number; activatedMs: number }>((resolve, reject) => {
    destination.monitor.hear(({ name, unixMs = now() }) => {
      if (name !== "RESUME") return;
      note(at, "the VM runs", unixMs);
      const active = told(destination, "active", "activate");
      active.then(() => resolve({ resumedMs: unixMs, activatedMs: now() }), reject);
    });
  });
  for (const end of [sent, arrived]) end.catch(() => {}); // they are waited for below, unless we do not get there
  await source.monitor.ask("migrate-set-parameters", FAST);
  await source.monitor.ask("migrate", { uri: `unix:${to}` });
  const off = callingOff(source.monitor, signal);
  try {
    const [there] = await Promise.all([arrived, sent, sent.then(() => suspended)]);
    return { stoppedMs, ...there };
  } catch (error) {
    if (stoppedMs > 0) await Promise.race([isBack, pause(BACK_MS)]);
    throw error;
  } finally {
    off();
  }
}

/** Octets a second; milliseconds that the VM may stand still, as far as QEMU can tell beforehand. */
const FAST = { "max-bandwidth": 1_000_000_000, "downtime-limit": 30 };

function callingOff(monitor: Monitor, signal: AbortSignal): () => void {
  const ask = (command: string, words?: Readonly<Record<string, unknown>>) =>
    void monitor.ask(command, words).catch(() => {}); // it has ended meanwhile
  const longer = setTimeout(
    () => ask("migrate-set-parameters", { "downtime-limit": 300 }),
    PATIENCE_MS,
  );
  const cancel = () => ask("migrate_cancel");
  const late = setTimeout(cancel, LONGEST_MS);
  signal.addEventListener("abort", cancel);
  if (signal.aborted) cancel();
  return () => {
    clearTimeout(longer);
    clearTimeout(late);
    signal.removeEventListener("abort", cancel);
  };
}

const pause = (ms: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms));
