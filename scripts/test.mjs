// `npm test [-- <vitest arguments>]`: sets up, then runs every test that this user's rights permit. Ends with
// `N passed, N failed` from vitest's own result, and with exit code 1 when anything failed.
import { spawn } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join, relative } from "node:path";
import { fileURLToPath } from "node:url";
import { giveToOwner } from "./owner.mjs";
import { setupOrExit } from "./setup.mjs";

const root = fileURLToPath(new URL("..", import.meta.url));
const isRoot = process.getuid() === 0;

/**
 * Of root's part what waits for nobody and hurries nobody: it runs beside the rest, with the unit tests, as labs leave
 * half of two cores idle. Names begin so.
 */
const beside = ["test/kernel/dataplane", "test/model/"];

/** One for all lanes, and for what is run again: chance is no reason to pass then. */
process.env.TEST_SEED ??= String(Date.now() % 1_000_000);

await setupOrExit(isRoot ? "test" : "unit");
const folder = mkdtempSync(join(tmpdir(), "vitest-"));
try {
  process.exitCode = await main(process.argv.slice(2));
} finally {
  rmSync(folder, { recursive: true });
  giveToOwner(); // vitest keeps its times in node_modules
}

async function main(extra) {
  const whole = extra.length === 0;
  const lanes = isRoot && whole ? inLanes() : [[...projects(), ...extra]];
  const first = merged(
    await Promise.all(lanes.map((args, n) => lane(args, join(folder, `${n}.json`)))),
  );
  const last = isRoot && whole ? await alone(first) : first;
  const skipped = being(last, "skipped", "pending", "todo");
  const wrong = wrongOf(last);
  if (skipped.length > 0 && wrong.length === 0 && whole)
    process.stdout.write(`skipped, as this machine lacks what they need:\n${listed(skipped, 10)}`);
  if (!isRoot)
    process.stdout.write(
      "skipped: test/kernel, test/interop and test/lab, which make network namespaces and need root. To run all:\n" +
        '  sudo env PATH="$PATH" npm test\n',
    );
  if (wrong.length > 0 && whole)
    process.stdout.write(
      `TEST_SEED=${process.env.TEST_SEED} makes the same by chance again\nfailed:\n${listed(wrong, 40)}`,
    );
  const failed = Math.max(wrong.length, last.ended ? 0 : 1);
  const tail = skipped.length > 0 ? `, ${skipped.length} skipped` : "";
  process.stdout.write(`${being(last, "passed").length} passed, ${failed} failed${tail}\n`);
  return failed > 0 ? 1 : 0;
}

/**
 * Files with tests that failed, once more with nothing beside them. What then passes counts, and is named: it hangs on
 * how busy the machine is, or on chance, and wants to be looked at. What fails again has failed. Of many none is run again.
 */
async function alone(first) {
  const files = [
    ...new Set([
      ...first.tests.filter(({ status }) => status === "failed").map(({ file }) => file),
      ...first.unloadable,
    ]),
  ];
  if (!first.ended || files.length === 0 || files.length > 8) return first;
  process.stdout.write(`failed, and run again alone:\n${listed(wrongOf(first), 40)}`);
  const again = await lane(
    [...projects(), "--no-file-parallelism", ...files],
    join(folder, "again.json"),
  );
  const still = new Set(wrongOf(again));
  const passed = wrongOf(first).filter((name) => again.ended && !still.has(name));
  if (passed.length > 0)
    process.stdout.write(`failed, and passed when run again alone:\n${listed(passed, 40)}`);
  const others = (of) => of.filter(({ file }) => !files.includes(file));
  return { ...again, tests: [...others(first.tests), ...again.tests] };
}

function projects() {
  return ["--project=unit", ...(isRoot ? ["--project=root"] : [])];
}

function inLanes() {
  return [
    ["--project=root", ...beside.map((name) => `--exclude=${name}**`)],
    [...projects(), "test/unit/", "test/sim/", ...beside],
  ];
}

async function lane(args, result) {
  const reporters = ["--reporter=default", "--reporter=json", `--outputFile.json=${result}`];
  return read(result, await vitest(["run", ...reporters, ...args]));
}

function listed(names, most) {
  const rest = names.length > most ? [`and ${names.length - most} more`] : [];
  return [...names.slice(0, most), ...rest].map((name) => `  ${name}\n`).join("");
}

function vitest(args) {
  const child = spawn(process.execPath, [join(root, "node_modules/vitest/vitest.mjs"), ...args], {
    cwd: root,
    // Of two at once none is to draw on the terminal.
    stdio: ["inherit", "pipe", "pipe"],
    env: { ...process.env, ...(process.stdout.isTTY && { FORCE_COLOR: "1" }) },
  });
  child.stdout.pipe(process.stdout, { end: false });
  child.stderr.pipe(process.stderr, { end: false });
  for (const signal of ["SIGINT", "SIGTERM"]) process.on(signal, () => child.kill(signal));
  return new Promise((resolve) => child.on("close", (code) => resolve(code ?? 1)));
}

/** Its tests, the files that cannot even be loaded, and whether it `ended` with no failure that is nobody's. */
function read(path, exitCode) {
  let json;
  try {
    json = JSON.parse(readFileSync(path, "utf8"));
  } catch {
    return { tests: [], unloadable: [], ended: false }; // vitest itself has failed, and has said why
  }
  const tests = json.testResults.flatMap((file) =>
    file.assertionResults.map(({ status, fullName }) => {
      const path = relative(root, file.name);
      return { status, file: path, name: `${path}: ${fullName}` };
    }),
  );
  const failed = tests.filter(({ status }) => status === "failed").map(({ file }) => file);
  const unloadable = json.testResults
    .filter(({ status }) => status === "failed")
    .map(({ name }) => relative(root, name))
    .filter((file) => !failed.includes(file));
  const isTold = failed.length > 0 || unloadable.length > 0;
  return { tests, unloadable, ended: exitCode === 0 || isTold };
}

function merged(results) {
  return {
    tests: results.flatMap(({ tests }) => tests),
    unloadable: results.flatMap(({ unloadable }) => unloadable),
    ended: results.every(({ ended }) => ended),
  };
}

function being({ tests }, ...states) {
  return tests.filter(({ status }) => states.includes(status)).map(({ name }) => name);
}

/** A file that cannot be loaded has no tests: it counts as one that failed. */
function wrongOf(result) {
  return [...being(result, "failed"), ...result.unloadable];
}
