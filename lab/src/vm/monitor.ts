import {
  connectQmp,
  type QmpEvent,
  QmpGone,
  QmpRefused,
  queryMigrate,
  queryStatus,
  setMigrationCapabilities,
} from "@nve/linux/qmp/index";
import { Refused } from "@nve/program/errors";

/** A QEMU's monitor. What QEMU refuses, and that it is gone, is thrown as `Refused`. */
export type Monitor = {
  ask(command: string, words?: Readonly<Record<string, unknown>>): Promise<unknown>;
  /** QEMU's own word: `running`, `paused`, `inmigrate` (waits to be sent), `postmigrate` (was sent away) … */
  status(): Promise<string>;
  /** At both ends, before one is sent: it shall say how it goes on, and not copy memory that is shared. */
  readyToMigrate(): Promise<void>;
  /** Why a migration failed, as far as it says. */
  failure(): Promise<string>;
  /** Hears all that is said from now on: `STOP`, `RESUME`, `MIGRATION` … */
  hear(listener: (event: QmpEvent) => void): void;
  ended: Promise<unknown>;
  close(): void;
};

/** @param path of its socket, which takes one monitor at a time. @throws Refused when nobody answers there */
export async function openMonitor(path: string): Promise<Monitor> {
  const listeners: ((event: QmpEvent) => void)[] = [];
  const onEvent = (event: QmpEvent) => {
    for (const listener of listeners) listener(event);
  };
  const qmp = await orRefused(connectQmp({ path, onEvent }));
  return {
    ask: (command, words) => orRefused(qmp.execute(command, words)),
    status: async () => (await orRefused(queryStatus(qmp))).status,
    readyToMigrate: () =>
      orRefused(setMigrationCapabilities(qmp, { events: true, "x-ignore-shared": true })),
    failure: async () => {
      const { status, reason } = await orRefused(queryMigrate(qmp));
      return reason ?? status;
    },
    hear: (listener) => void listeners.push(listener),
    ended: qmp.ended,
    close: () => qmp.close(),
  };
}

async function orRefused<T>(work: Promise<T>): Promise<T> {
  try {
    return await work;
  } catch (error) {
    if (error instanceof QmpGone || error instanceof QmpRefused)
      throw new Refused(error.message, { cause: error });
    throw error;
  }
}
