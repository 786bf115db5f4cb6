import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";

/** Finds of earlier runs, one file of hex digits each: what is mended has to stay so. */
export function findsOf(folder: string, target: string): Uint8Array[] {
  try {
    return readdirSync(join(folder, target))
      .filter((file) => file.endsWith(".hex"))
      .map((file) => readFileSync(join(folder, target, file), "utf8").trim())
      .map((hex) => Uint8Array.from(Buffer.from(hex, "hex")));
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === "ENOENT") return []; // none yet
    throw error;
  }
}
