import { randomBytes } from "node:crypto";
import { closeSync, fstatSync, openSync, readFileSync, writeFileSync } from "node:fs";
import { dirname } from "node:path";
import type { AuthKey } from "@nve/protocol-spec";
import { OutOfRange } from "@nve/protocol-spec/errors";
import { Refused } from "./errors.ts";

// Keys by which stations and switches prove to each other who they are (protocol-spec, "08: authentication").

/** Octets of a secret. */
const SECRET = { made: 32, min: 16, max: 64 } as const;
/** More of them are no rotation. */
const MAX_KEYS = 16;
const MAX_OCTETS = 64 * 1024;

/**
 * The keys of a file, in its order. A line is `<id> <secret>`: a number, 0 to 255, and 16 to 64 octets in hex digits;
 * `#` begins a comment. Nobody but its owner may read it.
 * @throws Refused that names the file, and never what stands in it
 */
export function readKeyFile(path: string): readonly AuthKey[] {
  const lines = textOf(path).split("\n");
  const keys: AuthKey[] = [];
  for (const [at, line] of lines.entries()) {
    const words = line.replace(/#.*/, "").trim();
    if (words === "") continue;
    const key = keyIn(words, `${path}: line ${at + 1}`);
    if (keys.some(({ id }) => id === key.id)) {
      throw new Refused(`${path}: line ${at + 1}: key ${key.id} stands here twice`);
    }
    keys.push(key);
  }
  if (keys.length === 0) throw new Refused(`${path} has no key: make one with \`key new\``);
  if (keys.length > MAX_KEYS) throw new Refused(`${path} has more than ${MAX_KEYS} keys`);
  return keys;
}

/** Makes a file with one new key, for its owner alone. @throws Refused when it is there already */
export function makeKeyFile(path: string, id: number): void {
  const made = new Date().toISOString().slice(0, 10);
  const secret = randomBytes(SECRET.made).toString("hex");
  try {
    writeFileSync(path, `# made ${made}\n${id} ${secret}\n`, { flag: "wx", mode: 0o600 });
  } catch (cause) {
    throw new Refused(notMade(path, cause), { cause });
  }
}

function notMade(path: string, cause: unknown): string {
  const code = cause instanceof Error && "code" in cause ? cause.code : undefined;
  if (code === "EEXIST") return `${path} is there already: a key is never written over`;
  if (code === "ENOENT") return `there is no folder ${dirname(path)}: make it first`;
  return `cannot make the key file: ${why(cause)}`;
}

/** @throws OutOfRange */
export function KeyId(text: string): number {
  if (/^\d{1,3}$/.test(text) && Number(text) <= 255) return Number(text);
  throw new OutOfRange(`"${text}" is no key id: a whole number, 0 to 255`);
}

function textOf(path: string): string {
  let file: number;
  try {
    file = openSync(path, "r");
  } catch (cause) {
    throw new Refused(`cannot read the key file: ${why(cause)}`, { cause });
  }
  try {
    const { mode, size, ...stat } = fstatSync(file);
    if (!isFile(mode)) throw new Refused(`${path} is no file`);
    if ((mode & 0o077) !== 0) {
      const now = (mode & 0o777).toString(8).padStart(4, "0");
      throw new Refused(`${path} has mode ${now}: others must not read it, \`chmod 600\` it`);
    }
    const us = process.geteuid?.();
    if (us !== undefined && us !== 0 && stat.uid !== us) {
      throw new Refused(`${path} is another user's`);
    }
    if (size > MAX_OCTETS) throw new Refused(`${path} is too long for a key file`);
    return readFileSync(file, "utf8");
  } finally {
    closeSync(file);
  }
}

const isFile = (mode: number): boolean => (mode & 0o170000) === 0o100000;

function keyIn(words: string, where: string): AuthKey {
  const [id = "", secret = "", ...more] = words.split(/\s+/);
  const octets = secret.length / 2;
  if (more.length > 0 || secret === "") throw new Refused(`${where}: a key is \`<id> <hex>\``);
  if (!/^([0-9a-f]{2})+$/i.test(secret) || octets < SECRET.min || octets > SECRET.max) {
    throw new Refused(`${where}: a secret has ${SECRET.min} to ${SECRET.max} octets in hex digits`);
  }
  try {
    return { id: KeyId(id), secret: Uint8Array.from(Buffer.from(secret, "hex")) };
  } catch (error) {
    if (!(error instanceof OutOfRange)) throw error;
    // What stands in the place of an id may be a secret that was torn from its line.
    throw new Refused(`${where}: it does not begin with a key id, 0 to 255`);
  }
}

const why = (error: unknown): string => (error instanceof Error ? error.message : String(error));
