// Writes protocol-spec/proto/generated from the .proto files. `--check` compares instead; exit 1 when they differ.
import { spawnSync } from "node:child_process";
import { mkdtempSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";

const root = fileURLToPath(new URL("..", import.meta.url));
const proto = join(root, "protocol-spec/proto");

process.exitCode = main(process.argv.includes("--check"));

function main(check) {
  if (!buf("lint")) return 1;
  if (!check) return buf("generate") ? 0 : 1;
  const fresh = mkdtempSync(join(tmpdir(), "generated-"));
  try {
    if (!buf("generate", "--output", fresh)) return 1;
    const old = different(join(proto, "generated"), join(fresh, "generated"));
    if (old.length === 0) return 0;
    process.stderr.write(
      `error: protocol-spec/proto/generated is not what the .proto files say (${old.join(", ")}): ` +
        "run `npm run generate` and commit it\n",
    );
    return 1;
  } finally {
    rmSync(fresh, { recursive: true });
  }
}

function buf(...args) {
  const outcome = spawnSync(join(root, "node_modules/.bin/buf"), args, {
    cwd: proto,
    stdio: "inherit",
  });
  if (outcome.error)
    process.stderr.write(`error: buf: ${outcome.error.message} (npm ci installs it)\n`);
  return outcome.status === 0;
}

/** Names of the files that are in one folder only, or not the same in both. */
function different(a, b) {
  const names = new Set([...readdirSync(a), ...readdirSync(b)]);
  return [...names].filter((name) => textOf(join(a, name)) !== textOf(join(b, name)));
}

function textOf(path) {
  try {
    return readFileSync(path, "utf8");
  } catch {
    return undefined;
  }
}
