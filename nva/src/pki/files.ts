import {
  chmodSync,
  closeSync,
  existsSync,
  fsyncSync,
  openSync,
  readdirSync,
  readFileSync,
  renameSync,
  statSync,
  writeSync,
} from "node:fs";
import { join } from "node:path";
import { Refused } from "@nve/program/errors";
import { makeFolder } from "@nve/program/folder";

// A folder of certificates is for its owner alone: 0700, and its files 0600.

/** @throws Refused when others can look into it */
export function ownFolder(path: string): string {
  try {
    if (!existsSync(path)) makeFolder(path, 0o700);
    const { mode } = statSync(path);
    if ((mode & 0o170000) !== 0o040000) throw new Refused(`${path} is no folder`);
    if ((mode & 0o077) !== 0)
      throw new Refused(`others can look into ${path}: \`chmod 700\` it, or take another folder`);
    return path;
  } catch (cause) {
    throw cause instanceof Refused ? cause : failed(`cannot use the folder ${path}`, cause);
  }
}

/** Whole or not at all, also when the machine stops meanwhile. @throws Refused */
export function put(path: string, text: string): void {
  const next = `${path}.new`;
  try {
    const file = openSync(next, "w", 0o600);
    try {
      chmodSync(next, 0o600); // it may have been there
      writeSync(file, text);
      fsyncSync(file);
    } finally {
      closeSync(file);
    }
    renameSync(next, path);
  } catch (cause) {
    throw failed(`cannot write ${path}`, cause);
  }
}

/** @throws Refused */
export function textOf(...path: string[]): string {
  const file = join(...path);
  try {
    return readFileSync(file, "utf8");
  } catch (cause) {
    throw failed(`cannot read ${file}`, cause);
  }
}

/** @throws Refused */
export function foldersIn(path: string): string[] {
  try {
    const all = readdirSync(path, { withFileTypes: true });
    return all.flatMap((one) => (one.isDirectory() ? [one.name] : []));
  } catch (cause) {
    throw failed(`cannot look into ${path}`, cause);
  }
}

const failed = (what: string, cause: unknown): Refused =>
  new Refused(`${what}: ${cause instanceof Error ? cause.message : String(cause)}`, { cause });
