import { type ChildProcess, spawn } from "node:child_process";
import { existsSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { namespaces } from "@nve/lab/namespaces";
import { markedProcesses } from "@nve/lab/processes";
import { type Outcome, run } from "@nve/lab/shell";
import { readState, stateFolder } from "@nve/lab/state";
import { afterAll, afterEach, expect, test } from "vitest";
import { until } from "../support/lab.ts";

const folder = mkdtempSync(join(tmpdir(), "lab-runner-"));
let count = 0;
let name = "";

/** The file of a topology with two nodes and a link; `first` is what else the first node has. */
function topology(first = "cmd: sleep 1000"): string {
  count += 1;
  name = `lab-runner-${process.pid}-${count}`;
  const file = join(folder, `${name}.clab.yml`);
  writeFileSync(
    file,
    `
name: ${name}
topology:
  nodes:
    a: { kind: linux, exec: ["ip addr add 10.9.9.1/24 dev eth1"], ${first} }
    b: { kind: linux, exec: ["ip addr add 10.9.9.2/24 dev eth1"] }
  links:
    - { endpoints: ["a:eth1", "b:eth1"], mtu: 1600 }
`,
  );
  return file;
}

/** Its program runs, and is never ready: `lab up` waits until something happens to it. */
const neverReady = "cmd: sleep 1000, labels: { nve.ready: 'false' }";

const command = resolve(import.meta.dirname, "../../lab/bin/lab.js");
const lab = (...args: string[]): Promise<Outcome> => run(process.execPath, [command, ...args]);

async function startedUp(): Promise<ChildProcess> {
  const child = spawn(process.execPath, [command, "up", topology(neverReady)]);
  await until("the program of a to be started", () => readState(name)?.nodes[0]?.process);
  return child;
}

const exitOf = (child: ChildProcess) => new Promise((done) => child.on("close", done));

/** What a lab leaves on the machine. */
function traces(): readonly string[] {
  return [
    ...namespaces().filter((namespace) => namespace.startsWith(`${name}-`)),
    ...(markedProcesses().get(name) ?? []).map(({ pid }) => `process ${pid}`),
    ...(existsSync(join(stateFolder, name)) ? ["state"] : []),
  ];
}

afterAll(() => rmSync(folder, { recursive: true }));

afterEach(async () => {
  await lab("down", name);
  expect(traces()).toEqual([]);
});

test("brings up nodes that reach each other, runs commands in them, and takes all down again", async () => {
  const file = topology();
  const up = await lab("up", file);
  expect(up).toMatchObject({ code: 0, stderr: "" });
  expect(await lab("exec", name, "a", "--", "ping", "-c1", "-W1", "10.9.9.2")).toMatchObject({
    code: 0,
  });
  expect(await lab("exec", name, "b", "hostname")).toMatchObject({ code: 0, stdout: "b\n" });
  expect(await lab("exec", name, "b", "--", "sh", "-c", "exit 7")).toMatchObject({ code: 7 });
  const link = await lab("exec", name, "b", "cat", "/sys/class/net/eth1/mtu");
  expect(link.stdout).toBe("1600\n");
  expect(await lab("down", name)).toMatchObject({ code: 0, stdout: `lab ${name} is down\n` });
  expect(traces()).toEqual([]);
  expect(await lab("down", name)).toMatchObject({ code: 0, stdout: `lab ${name} was not up\n` });
});

test("status and list show a running program with what it uses", async () => {
  const file = topology();
  await lab("up", file);
  const status = JSON.parse((await lab("status", name, "--json")).stdout);
  expect(status).toMatchObject([
    { node: "a", state: "running", cmd: "sleep 1000", cpuPercent: expect.any(Number) },
    { node: "b", state: "idle" },
  ]);
  expect(status[0].rssBytes).toBeGreaterThan(100_000);
  const list = JSON.parse((await lab("list", "--json")).stdout);
  expect(list).toContainEqual({ lab: name, state: "up", nodes: 2, topology: file });
});

test("each node has a /run of its own, with the binds in it", async () => {
  writeFileSync(join(folder, "greeting"), "hello");
  await lab("up", topology('cmd: sleep 1000, binds: ["greeting:/run/split-nve/greeting:ro"]'));
  const read = await lab("exec", name, "a", "cat", "/run/split-nve/greeting");
  expect(read.stdout).toBe("hello");
  const write = await lab("exec", name, "a", "--", "sh", "-c", "echo no > /run/split-nve/greeting");
  expect(write.code).not.toBe(0);
  expect(await lab("exec", name, "b", "ls", "/run/split-nve")).toMatchObject({ code: 2 });
});

test("a lab that is up is refused with what to do, and stays as it is", async () => {
  const file = topology();
  await lab("up", file);
  const before = traces();
  const again = await lab("up", file);
  expect(again.code).toBe(1);
  expect(again.stderr).toContain(`lab down ${name}`);
  expect(traces()).toEqual(before);
});

test("the demo does not touch a lab of its name that is up", async () => {
  await lab("up", topology());
  const before = traces();
  const demo = await run(process.execPath, [
    resolve(command, "../../dist/demo.js"),
    "--name",
    name,
  ]);
  expect(demo).toMatchObject({ code: 1, stderr: expect.stringContaining(`lab down ${name}`) });
  expect(traces()).toEqual(before);
});

test("the same topology under another name runs beside it", async () => {
  const file = topology();
  await lab("up", file);
  const other = `${name}-other`;
  expect(await lab("up", file, "--name", other)).toMatchObject({ code: 0 });
  // Names that begin alike: taking one down leaves the other.
  expect(await lab("down", name)).toMatchObject({ code: 0 });
  expect(await lab("exec", other, "a", "ping", "-c1", "-W1", "10.9.9.2")).toMatchObject({
    code: 0,
  });
  expect(await lab("down", other)).toMatchObject({ code: 0 });
});

test("a failing exec takes the lab down again and says which it was", async () => {
  const failed = await lab(
    "up",
    topology('group: g }\n    c: { exec: ["true", "ip link set nic up"]'),
  );
  expect(failed.code).toBe(1);
  expect(failed.stderr).toMatch(/c: exec `ip link set nic up` failed: Cannot find device "nic"/);
  expect(traces()).toEqual([]);
});

test("a program that ends at once takes the lab down again, and its last words are shown", async () => {
  const words = `cmd: "sh -c 'echo no such thing; exit 3'", labels: { nve.ready: 'false' }`;
  const failed = await lab("up", topology(words));
  expect(failed.code).toBe(1);
  expect(failed.stderr).toMatch(/has ended\n\s+a: no such thing/);
  expect(traces()).toEqual([]);
});

test("a program that is missing, or ends soon, is not called ready", async () => {
  const cases: [cmd: string, why: RegExp][] = [
    ["cmd: no-such-program --x", /a: `no-such-program --x` has ended\n.*a: .*no-such-program: No /],
    [`cmd: "sh -c 'sleep 0.1; echo why; exit 3'"`, /a: `sh -c .*` has ended\n\s+a: why/],
    [
      "cmd: env no-such-program",
      /a: `env no-such-program` has ended\n.*a: .*no-such-program.*: No/,
    ],
  ];
  for (const [cmd, why] of cases) {
    const failed = await lab("up", topology(cmd));
    expect(failed).toMatchObject({ code: 1, stderr: expect.stringMatching(why) });
    expect(failed.stdout).not.toContain("ready");
    expect(traces()).toEqual([]);
  }
});

test("^C while it comes up takes down what was made", async () => {
  const child = await startedUp();
  child.kill("SIGINT");
  expect(await exitOf(child)).toBe(1);
  expect(traces()).toEqual([]);
});

test("what a crashed runner left is found and taken down", async () => {
  const child = await startedUp();
  child.kill("SIGKILL");
  await exitOf(child);
  const [spaces, processes, state] = [2, 3, 1];
  expect(traces()).toHaveLength(spaces + processes + state);
  expect(await lab("down", name)).toMatchObject({ code: 0, stdout: `lab ${name} is down\n` });
  expect(traces()).toEqual([]);
});

test("`down` ends a runner that still brings the lab up", async () => {
  const child = await startedUp();
  const exit = exitOf(child);
  expect(await lab("down", name)).toMatchObject({ code: 0 });
  expect(await exit).toBe(1);
  expect(traces()).toEqual([]);
});

test("leftovers are found without any state, and nothing else is touched", async () => {
  const file = topology();
  await lab("up", file);
  const stranger = `${name}-stranger`;
  await run("ip", ["netns", "add", stranger]);
  const sleeper = spawn("sleep", ["1000"]);
  try {
    rmSync(join(stateFolder, name), { recursive: true });
    expect(await lab("down", name)).toMatchObject({ code: 0, stdout: `lab ${name} is down\n` });
    expect(traces()).toEqual([stranger]);
    expect(sleeper.exitCode).toBeNull();
  } finally {
    sleeper.kill();
    await run("ip", ["netns", "del", stranger]);
  }
});

test("a bind that cannot be is refused and leaves nothing", async () => {
  const missing = await lab("up", topology('binds: ["none:/run/x"]'));
  expect(missing).toMatchObject({
    code: 1,
    stderr: expect.stringContaining("none does not exist"),
  });
  expect(traces()).toEqual([]);
  writeFileSync(join(folder, "file"), "");
  const nowhere = await lab("up", topology('binds: ["file:/no/such/place"]'));
  expect(nowhere).toMatchObject({
    code: 1,
    stderr: expect.stringContaining("/no/such/place must exist"),
  });
  expect(traces()).toEqual([]);
});

/** The command with its output or its errors sent elsewhere, in words of bash. */
const sending = (redirected: string, ...args: string[]): Promise<Outcome> =>
  run("bash", ["-c", redirected, "sh", process.execPath, command, ...args]);

test("output to a disk that is full is one line and exit code 1; to a reader that has gone, nothing", async () => {
  expect(await sending('exec "$@" > /dev/full', "--help")).toEqual({
    code: 1,
    stdout: "",
    stderr: "error: cannot write what is to be printed: no space is left (ENOSPC)\n",
  });
  expect(await sending('exec "$@" > /dev/full 2>&1', "--help")).toMatchObject({ code: 1 });
  const gone = 'exec 4> >(true); wait $!; exec "$@" >&4';
  expect(await sending(gone, "--help")).toEqual({ code: 0, stdout: "", stderr: "" });
});

test("where errors go is full, or read no more: the exit code tells still", async () => {
  expect(await sending('exec "$@" 2> /dev/full', "up", "--x")).toMatchObject({ code: 2 });
  const gone = 'exec 4> >(true); wait $!; exec "$@" 2>&4';
  expect(await sending(gone, "up", "--x")).toMatchObject({ code: 2 });
});

test("usage errors exit with 2, what is not there with 1", async () => {
  topology();
  expect(await lab("up")).toMatchObject({ code: 2 });
  expect(await lab("down")).toMatchObject({ code: 2 });
  expect(await lab("up", "two-racks", "--name", "a_b")).toMatchObject({
    code: 2,
    stderr: expect.stringContaining('"a_b" cannot name a lab: a name is letters'),
  });
  expect(await lab("up", "no-such-lab")).toMatchObject({
    code: 1,
    stderr: expect.stringContaining("two-racks"),
  });
  expect(await lab("exec", name, "a", "true")).toMatchObject({
    code: 1,
    stderr: expect.stringContaining("is not up"),
  });
});
