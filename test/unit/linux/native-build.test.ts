import { spawnSync } from "node:child_process";
import {
  cpSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { afterEach, beforeEach, expect, test } from "vitest";

const root = fileURLToPath(new URL("../../../", import.meta.url));

const hasCompiler = ["cc", "gcc", "clang"].some((cc) => spawnSync(cc, ["--version"]).status === 0);

/** A repository with nothing but what the script reads, and little to compile. */
let folder: string;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), "native-"));
  mkdirSync(join(folder, "linux/native"), { recursive: true });
  cpSync(join(root, "scripts/native.mjs"), join(folder, "scripts/native.mjs"));
  writeFileSync(join(folder, "linux/native/socket.c"), "#include <node_api.h>\nnapi_env env;\n");
});
afterEach(() => rmSync(folder, { recursive: true }));

const withHeaders = (): void =>
  symlinkSync(join(root, "node_modules"), join(folder, "node_modules"));

function build(environment: NodeJS.ProcessEnv = process.env): {
  status: number | null;
  stderr: string;
} {
  const script = join(folder, "scripts/native.mjs");
  const { status, stderr } = spawnSync(process.execPath, [script], {
    encoding: "utf8",
    env: environment,
  });
  return { status, stderr };
}

test.skipIf(!hasCompiler)("compiles once, and again when the source is newer", () => {
  withHeaders();
  const builds = () => readdirSync(join(folder, "linux/build"));
  expect(build()).toEqual({ status: 0, stderr: "" });
  expect(builds()).toEqual(["socket.node"]);
  expect(build({ PATH: "" })).toEqual({ status: 0, stderr: "" }); // no compiler is looked for
  writeFileSync(join(folder, "linux/native/socket.c"), "this is no C");
  const { status, stderr } = build();
  expect(status).toBe(1);
  expect(stderr).toMatch(/^error: cannot compile linux\/native:\n.*socket\.c:1:1: error/s);
  expect(builds()).toEqual(["socket.node"]);
});

test("without a compiler it names the package to install, in one line", () => {
  withHeaders();
  expect(build({ PATH: "" })).toEqual({
    status: 1,
    stderr: "error: no C compiler for linux/native: run apt-get install -y clang libc6-dev\n",
  });
});

test.skipIf(!hasCompiler)("without the headers it says how to get them", () => {
  expect(build()).toEqual({
    status: 1,
    stderr: "error: node-api-headers is missing in node_modules: run npm ci\n",
  });
});
