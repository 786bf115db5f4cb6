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

/** The VM has come to the destination all the same, and runs there: there is no way back. */
export class CutOff extends Refused {}

/** One that does not converge in this time may stand still for longer, and one that does not end at all is called off. */
const PATIENCE_MS = 5_000;
const LONGEST_MS = 60_000;
/** For QEMU to let it run on at the source, and the switch there to hear it, or to say that it is over already. */
const BACK_MS = 5_000;

/**
 * Sends the VM over. When QEMU says that it stands still, both switches are told: the source's to suspend it, and the
 * destination's that it is active, so that the network switches over while QEMU sends the rest; frames wait at the new
 * tap for the VM.
 *
 * @throws Refused when it fails, a switch refuses or `signal` comes: then the VM runs at the source, whose switch has been
 * told. {@link CutOff} when it is too late for that
 */
export async function move(
  source: End,
  destination: End,
  { vnic, to }: { vnic: Vnic; to: string },
  { note }: Journal,
  signal: AbortSignal,
): Promise<Moved> {
  const at = destination.hypervisor.server;
  const left = departure(source, destination, vnic, note);
  const arrived = arrival(destination, note);
  for (const one of [left.sent, arrived]) one.catch(() => {}); // waited for below, unless we do not get there
  await source.monitor.ask("migrate-set-parameters", FAST);
  if (signal.aborted) throw calledOff(at);
  await source.monitor.ask("migrate", { uri: `unix:${to}` });
  const off = callingOff(source.monitor, signal);
  try {
    const [resumedMs] = await Promise.all([arrived, left.sent]);
    const [, activatedMs = resumedMs] = await Promise.all(left.saidAtStop());
    return { stoppedMs: left.stoppedMs(), resumedMs, activatedMs };
  } catch (error) {
    if (left.stoppedMs() === 0 || error instanceof Gone) throw error;
    await source.monitor.ask("migrate_cancel").catch(() => {}); // it is over, or QEMU is gone
    if ((await Promise.race([left.away, left.back, pause(BACK_MS)])) !== "away") throw error;
    const why = error instanceof Error ? error.message : String(error);
    throw new CutOff(`the VM runs on ${at} now, without its network: ${why}`, { cause: error });
  } finally {
    off();
  }
}

/** What the source's QEMU says of a migration, and what the switches answer to that. */
type Departure = {
  /** Rejects when it fails, is called off, or a switch refuses. */
  sent: Promise<void>;
  /** QEMU says that all of it is over there, refused by the network or not. */
  away: Promise<"away">;
  /** It runs at the source again, and the switch there has heard it. */
  back: Promise<void>;
  /** Unix, milliseconds; 0: it runs still. */
  stoppedMs(): number;
  /** The source's and the destination's answer to what was said when it stood still. */
  saidAtStop(): readonly Promise<number>[];
};

function departure(source: End, destination: End, vnic: Vnic, note: Journal["note"]): Departure {
  const [from, at] = [source.hypervisor.server, destination.hypervisor.server];
  const told = async ({ hypervisor }: End, stage: "active" | "suspended", verb: string) => {
    note(hypervisor.server, `${verb} said`);
    await hypervisor.stage(vnic, stage);
    note(hypervisor.server, `${verb} answered`);
    return now();
  };
  const sent = settledElsewhere<void>();
  const away = settledElsewhere<"away">();
  const back = settledElsewhere<void>();
  let stoppedMs = 0;
  let saidAtStop: readonly Promise<number>[] = [];
  const stood = (unixMs: number) => {
    stoppedMs = unixMs;
    note(from, "the VM stands still", unixMs);
    saidAtStop = [told(source, "suspended", "suspend"), told(destination, "active", "activate")];
    for (const one of saidAtStop) one.catch(sent.reject);
  };
  const ranOn = (unixMs: number) => {
    note(from, "the VM runs on", unixMs);
    // Not before the destination's switch has answered: the last to be associated has the VNIC.
    const again = Promise.allSettled(saidAtStop).then(() => told(source, "active", "activate"));
    again.then(() => back.resolve(), sent.reject);
  };
  const failed = async () => {
    const reason = await source.monitor.failure().catch(() => "it does not say why");
    sent.reject(new Refused(`the migration to ${at} has failed: ${reason}`));
  };
  source.monitor.hear(({ name, data: { status }, unixMs = now() }) => {
    if (name === "STOP") stood(unixMs);
    if (name === "RESUME") ranOn(unixMs);
    if (name !== "MIGRATION") return;
    note(from, `migration: ${status}`, unixMs);
    if (status === "completed") {
      away.resolve("away");
      sent.resolve();
    }
    if (status === "cancelled") sent.reject(calledOff(at));
    if (status === "failed") void failed();
  });
  void source.monitor.ended.then(() => sent.reject(new Gone(from)));
  return {
    sent: sent.promise,
    away: away.promise,
    back: back.promise,
    stoppedMs: () => stoppedMs,
    saidAtStop: () => saidAtStop,
  };
}

/** @returns when the VM ran at the destination, Unix milliseconds */
function arrival({ monitor, hypervisor: { server } }: End, note: Journal["note"]): Promise<number> {
  return new Promise((resolve, reject) => {
    void monitor.ended.then(() => reject(new Refused(`the VM's QEMU on ${server} is gone`)));
    monitor.hear(({ name, unixMs = now() }) => {
      if (name !== "RESUME") return;
      note(server, "the VM runs", unixMs);
      resolve(unixMs);
    });
  });
}

/** The source's QEMU: nothing can be called off any more. */
class Gone extends Refused {
  constructor(server: string) {
    super(`the VM's QEMU on ${server} is gone`);
  }
}

const calledOff = (at: string) => new Refused(`the migration to ${at} has been called off`);

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

type SettledElsewhere<T> = {
  promise: Promise<T>;
  resolve(value: T): void;
  reject(error: unknown): void;
};

function settledElsewhere<T>(): SettledElsewhere<T> {
  let resolve: SettledElsewhere<T>["resolve"] = () => {};
  let reject: SettledElsewhere<T>["reject"] = () => {};
  const promise = new Promise<T>((...both) => {
    [resolve, reject] = both;
  });
  return { promise, resolve, reject };
}

const pause = (ms: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms));
