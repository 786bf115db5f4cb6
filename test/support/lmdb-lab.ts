import { readFileSync, writeFileSync } from "node:fs";

/** What the NVA of a lab knows outlives it: its config says lmdb in place of memory. */
export function onLmdb(config: string, path = "/run/split-nve/store"): void {
  const text = readFileSync(config, "utf8");
  if (!text.includes(MEMORY)) throw new Error(`${config} says nothing of "${MEMORY}"`);
  writeFileSync(config, text.replace(MEMORY, `use: lmdb\n  path: ${path}`));
}

const MEMORY = "use: memory";
