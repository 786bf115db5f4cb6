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

await setupOrExit(isRoot ? "test" : "unit");
const folder = mkdtempSync(join(tmpdir(), "vitest-"));
try {
  process.exitCode = await main(process.argv.slice(2));
} finally {
  rmSync(folder, { recursive: true });
  giveToOwner(); // vitest keeps its times in node_modules
}

async function main(extra) {
  const lanes = isRoot && extra.length === 0 ? inLanes() : [[...projects(), ...extra]];
  const results = await Promise.all(lanes.map((args, n) => lane(args, join(folder, `${n}.json`))));
  const sum = (of) => results.reduce((all, result) => all + result[of], 0);
  const skipped = results.flatMap((result) => result.skipped);
  const wrong = results.flatMap((result) => result.wrong);
  if (lanes.length > 1 && wrong.length > 0) process.stdout.write(`failed:\n${listed(wrong, 40)}`);
  const failed = sum("failed");
  if (skipped.length > 0 && failed === 0 && extra.length === 0)
    process.stdout.write(`skipped, as this machine lacks what they need:\n${listed(skipped, 10)}`);
  if (!isRoot)
    process.stdout.write(
      "skipped: test/kernel, test/interop and test/lab, which make network namespaces and need root. To run all:\n" +
        '  sudo env PATH="$PATH" npm test\n',
    );
  const tail = skipped.length > 0 ? `, ${skipped.length} skipped` : "";
  process.stdout.write(`${sum("passed")} passed, ${failed} failed${tail}\n`);
  return failed > 0 ? 1 : 0;
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

/** A test file that cannot even be loaded has no tests: it counts as one that failed; so does an error outside all. */
function read(path, exitCode) {
  let json;
  try {
    json = JSON.parse(readFileSync(path, "utf8"));
  } catch {
    return { passed: 0, failed: 1, skipped: [], wrong: [] }; // vitest itself has failed, and has said why
  }
  const unloadable = json.testResults.filter(
    (file) =>
      file.status === "failed" && file.assertionResults.every((test) => test.status !== "failed"),
  );
  const failed = json.numFailedTests + unloadable.length;
  const tests = json.testResults.flatMap((file) =>
    file.assertionResults.map(({ status, fullName }) => ({
      status,
      name: `${relative(root, file.name)}: ${fullName}`,
    })),
  );
  const being = (...states) =>
    tests.filter(({ status }) => states.includes(status)).map(({ name }) => name);
  return {
    passed: json.numPassedTests,
    failed: failed === 0 && exitCode !== 0 ? 1 : failed,
    skipped: being("skipped", "pending", "todo"),
    wrong: [...being("failed"), ...unloadable.map((file) => relative(root, file.name))],
  };
}
