// A registry that lacks some platform packages (say, Biome's for Windows) makes npm write a package-lock.json
// without them, and then `npm ci` refuses that file. This adds what is missing: one entry for each optional
// platform package that a package in the lockfile pins and the lockfile does not have.
//
//   node scripts/lockfile.mjs           adds the entries
//   node scripts/lockfile.mjs --check   only says what is missing; exit 1 when something is
import { readFileSync, realpathSync, writeFileSync } from "node:fs";
import { fileURLToPath } from "node:url";

const path = fileURLToPath(new URL("../package-lock.json", import.meta.url));

const systems = { android: "android", darwin: "darwin", linux: "linux", win32: "win32" };
const processors = { x64: "x64", arm64: "arm64", aarch64: "arm64", arm: "arm", armv7: "arm" };
const libraries = { musl: "musl", gnu: "glibc" };

/** The lockfile's missing entries, by their place in `packages`. */
export function missingEntries(lock) {
  const missing = {};
  for (const [parentPlace, parent] of Object.entries(lock.packages)) {
    for (const [name, version] of Object.entries(parent.optionalDependencies ?? {})) {
      const place = `node_modules/${name}`;
      const found = place in lock.packages || `${parentPlace}/${place}` in lock.packages;
      if (found || !/^\d/.test(version)) continue; // a range is npm's to resolve
      missing[place] = entry(name, version, parent.dev === true);
    }
  }
  return missing;
}

function entry(name, version, dev) {
  const words = name.split(/[/-]/);
  const named = (known) => words.map((word) => known[word]).filter(Boolean);
  const [cpu, libc, os] = [named(processors), named(libraries), named(systems)];
  if (cpu.length !== 1 || os.length !== 1)
    throw new Error(
      `${name} is optional and not in package-lock.json, and its name tells no platform`,
    );
  return {
    version,
    cpu,
    ...(dev ? { dev } : {}),
    ...(libc.length > 0 ? { libc } : {}),
    optional: true,
    os,
  };
}

function main(argv) {
  const lock = JSON.parse(readFileSync(path, "utf8"));
  const missing = missingEntries(lock);
  const names = Object.keys(missing);
  if (names.length === 0) return 0;
  const list = names.map((place) => `  ${place}\n`).join("");
  if (argv.includes("--check")) {
    process.stderr.write(
      `package-lock.json lacks (\`node scripts/lockfile.mjs\` adds them):\n${list}`,
    );
    return 1;
  }
  const all = Object.entries({ ...lock.packages, ...missing });
  lock.packages = Object.fromEntries(all.sort(([a], [b]) => a.localeCompare(b, "en")));
  writeFileSync(path, `${JSON.stringify(lock, null, 2)}\n`);
  process.stdout.write(`added to package-lock.json:\n${list}`);
  return 0;
}

if (process.argv[1] && realpathSync(process.argv[1]) === fileURLToPath(import.meta.url))
  process.exitCode = main(process.argv.slice(2));
