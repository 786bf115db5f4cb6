import { mkdirSync } from "node:fs";
import { dirname } from "node:path";

/**
 * Makes a folder and those above it, of mode 0700 or `mode`. @throws the system's error.
 *
 * Node's own `recursive` loops for ever where mkdir says ENOENT, as in /proc (seen with Node 20).
 */
export function makeFolder(path: string, mode = 0o700): void {
  if (made(path, mode)) return;
  makeFolder(dirname(path), mode);
  mkdirSync(path, { mode });
}

/** `false`: the folder above is missing. */
function made(path: string, mode: number): boolean {
  try {
    mkdirSync(path, { mode });
    return true;
  } catch (error) {
    const code = error instanceof Error && "code" in error ? error.code : undefined;
    if (code === "EEXIST") return true; // or a file: opening it tells
    if (code === "ENOENT" && dirname(path) !== path) return false;
    throw error;
  }
}
