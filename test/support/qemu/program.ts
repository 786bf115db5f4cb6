import { mkdirSync, writeFileSync } from "node:fs";
import { basename, join } from "node:path";
import { fileURLToPath, pathToFileURL } from "node:url";
import { build } from "vite";

let bundles = 0;

/**
 * A module and all of ours that it imports as one file, since reading many is slow in the guest. npm packages are
 * taken from where they are. @returns the file's path, in .cache, from where node finds them
 */
export async function bundled(entry: string): Promise<string> {
  const outcome = await build({
    configFile: false,
    logLevel: "error",
    resolve: { conditions: ["source"] },
    ssr: { noExternal: [/^@nve\//], resolve: { conditions: ["source"] } },
    plugins: [{ name: "where it was", transform: placed }],
    build: { ssr: entry, write: false, target: "node20", minify: false },
  });
  const [output] = [outcome].flat();
  if (output === undefined || !("output" in output)) throw new Error(`${entry}: nothing was built`);
  const chunks = output.output.flatMap((one) => (one.type === "chunk" ? [one.code] : []));
  if (chunks.length !== 1) throw new Error(`${entry}: ${chunks.length} files were built, not one`);
  const folder = fileURLToPath(new URL("../../../.cache/build", import.meta.url));
  mkdirSync(folder, { recursive: true });
  const path = join(folder, `${process.pid}-${++bundles}-${basename(entry, ".ts")}.mjs`);
  writeFileSync(path, chunks[0] ?? "");
  return path;
}

/** Files beside a module are beside where it came from. */
const placed = (code: string, id: string): string | undefined =>
  code.includes("import.meta.url")
    ? code.replaceAll("import.meta.url", JSON.stringify(pathToFileURL(id).href))
    : undefined;
