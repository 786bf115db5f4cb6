import { mkdirSync } from "node:fs";
import { dirname } from "node:path";

/** Makes a folder and those above it. Node's own `recursive` loops for ever where mkdir says ENOENT, as in /proc. */
export function makeFolder(path: string): void {
  if (made(path)) return;
  makeFolder(dirname(path));
  mkdirSync(path, { mode: 0o700 });
}

/** `false`: the folder above is missing. */
function made(path: string): boolean {
  try {
    mkdirSync(path, { mode: 0o700 });
    return true;
  } catch (error) {
    const code = error instanceof Error && "code" in error ? error.code : undefined;
    if (code === "EEXIST") return true; // or a file: opening it tells
    if (code === "ENOENT" && dirname(path) !== path) return false;
    throw error;
  }
}
