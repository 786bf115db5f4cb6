import { existsSync } from "node:fs";
import { Refused } from "@nve/program/errors";
import { Held, type Lock, lockFolder } from "../store/lock.ts";

/** How long another run in the same folder may take, and how often we look. */
const PATIENCE_MS = 10_000;
const LOOK_MS = 50;

/**
 * Does what changes a CA's folder while no other run does: two at once could leave a key that is not of its certificate.
 * @throws Refused when another has not ended in 10 s
 */
export async function lockedPki<T>(folder: string, work: () => T): Promise<T> {
  if (!existsSync(folder)) return work();
  const lock = await lockOf(folder);
  try {
    return work();
  } finally {
    await lock.release();
  }
}

async function lockOf(folder: string): Promise<Lock> {
  const deadline = Date.now() + PATIENCE_MS;
  for (;;) {
    try {
      return await lockFolder(folder);
    } catch (cause) {
      if (!(cause instanceof Held)) throw new Refused(`cannot write ${folder}`, { cause });
      if (Date.now() > deadline)
        throw new Refused(`another \`nva pki\` works in ${folder}: try again when it has ended`);
    }
    await new Promise((resolve) => setTimeout(resolve, LOOK_MS));
  }
}
