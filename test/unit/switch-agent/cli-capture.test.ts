import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Refused } from "@nve/program/errors";
import { runProgram } from "@nve/program/program";
import type {
  CapturedFrame,
  CaptureRequest,
  CaptureResponse,
} from "@nve/protocol-spec/proto/agent";
import { switchAgent } from "@nve/switch-agent/cli/switch-agent";
import type { AgentClient, Streaming } from "@nve/switch-agent/cli/world";
import type { Command } from "commander";
import { afterEach, beforeEach, expect, test, vi } from "vitest";

const octets = Buffer.from("02000000000b02000000000a810000528806", "hex");
const forwarded: CapturedFrame = {
  ...{ atUnixNs: 1_795_303_881_123_456_789n, link: "swp1", from: "port", tag: 82, vtep: "" },
  ...{ vni: 10001, vnId: 5001, alias: "red", vnic: "66571c6d", verdict: "forwarded", reason: "" },
  ...{ toPort: "", toTag: 0, toVtep: "192.0.2.2", encapsulation: "vxlan" },
  ...{ copiesToPorts: 0, copiesToNves: 0, octets, length: 64, says: "a frame\u001b" },
};
const frames: CapturedFrame[] = [
  forwarded,
  { ...forwarded, toVtep: "", toPort: "swp2", toTag: 83 },
  { ...forwarded, toVtep: "", verdict: "dropped", reason: "acl" },
  { ...forwarded, toVtep: "", verdict: "flooded", copiesToPorts: 2, copiesToNves: 1 },
  { ...forwarded, toVtep: "", verdict: "told", reason: "too-big-told", alias: "" },
  {
    ...forwarded,
    from: "underlay",
    vtep: "192.0.2.9",
    vnId: 0,
    verdict: "dropped",
    reason: "stranger-vtep",
  },
];

let asked: CaptureRequest | undefined;
let said: ReturnType<typeof vi.spyOn>;
const folder = mkdtempSync(join(tmpdir(), "capture-"));
beforeEach(() => {
  said = vi.spyOn(process.stderr, "write").mockReturnValue(true);
});
afterEach(() => {
  said.mockRestore();
  process.exitCode = undefined;
  rmSync(folder, { recursive: true, force: true });
});

/** Tells these, and ends when it is told to or with `fault`. */
function agent(fault?: Error): AgentClient {
  const capture = (request: CaptureRequest, hear: (answer: CaptureResponse) => void): Streaming => {
    asked = request;
    let end = (): void => {};
    const ended = new Promise<void>((resolve, reject) => {
      end = resolve;
      setImmediate(() => {
        hear({ frames: [], lost: 0n });
        hear({ frames, lost: 3n });
        if (fault !== undefined) reject(fault);
      });
    });
    return { end: () => end(), ended };
  };
  return { capture, close: () => {} } as unknown as AgentClient;
}

async function lines(from: AgentClient, ...argv: string[]): Promise<string[]> {
  const printed: string[] = [];
  const program = switchAgent({
    agent: async () => from,
    print: (line) => printed.push(line),
    run: async () => {},
    cleanup: async () => [],
  });
  silence(program);
  await runProgram(program, ["node", "switch-agent", "capture", ...argv]);
  return printed;
}

function silence(command: Command): void {
  command.configureOutput({ writeErr: () => {} });
  command.commands.forEach(silence);
}

test("capture prints a line for each frame, in UTC, and ends after so many", async () => {
  const words = ["--count", "6", "--port", "swp1", "--vn", "5001", "--drops", "--octets", "64"];
  const at = "2026-11-21  ";
  expect((await lines(agent(), ...words)).map((line) => at + line.slice(17))).toEqual([
    `${at}swp1 82         VN 5001 (red)   to nve 192.0.2.2 (vxlan)  a frame?`,
    `${at}swp1 82         VN 5001 (red)   to swp2 83                a frame?`,
    `${at}swp1 82         VN 5001 (red)   dropped: acl              a frame?`,
    `${at}swp1 82         VN 5001 (red)   flooded: 2 to ports, 1 to nves  a frame?`,
    `${at}swp1 82         VN 5001         sender told: too-big-told  a frame?`,
    `${at}nve 192.0.2.9   VNI 10001       dropped: stranger-vtep    a frame?`,
  ]);
  expect(asked).toEqual({ port: "swp1", vnId: 5001, drops: true, octets: 64 });
  expect(said.mock.calls.join("")).toMatch(/capturing, until Ctrl-C\n.*6 frames, 3 lost/s);
});

test("capture --json prints an object for each frame", async () => {
  const [first = ""] = await lines(agent(), "--count", "1", "--json");
  expect(JSON.parse(first)).toMatchObject({
    at: expect.stringMatching(/^2026-11-2\dT.*\.123456789Z$/),
    octets: octets.toString("hex"),
    verdict: "forwarded",
    tag: 82,
  });
});

test("capture -w writes whole pcapng blocks, with what became of a frame as a comment", async () => {
  const path = join(mkdtempSync(join(tmpdir(), "capture-")), "frames.pcapng");
  expect(await lines(agent(), "--count", "6", "-w", path)).toEqual([]);
  const file = readFileSync(path);
  const types: number[] = [];
  for (let at = 0; at < file.length; ) {
    const length = file.readUInt32LE(at + 4);
    expect(file.readUInt32LE(at + length - 4)).toBe(length);
    types.push(file.readUInt32LE(at));
    at += length;
  }
  expect(types).toEqual([0x0a0d0d0a, 1, 6, 6, 6, 6, 6, 1, 6]);
  expect(file.includes("to nve 192.0.2.2 (vxlan); VN 5001 (red); VNIC 66571c6d")).toBe(true);
});

test("capture says when its file cannot be written, and when the agent ends", async () => {
  await lines(agent(), "-w", "/nowhere/at/all.pcapng");
  expect(said.mock.calls.join("")).toContain("cannot write /nowhere/at/all.pcapng: ENOENT");
  expect(process.exitCode).toBe(1);
  said.mockClear();
  await lines(agent(new Refused("nobody answers")));
  expect(said.mock.calls.join("")).toContain("nobody answers");
});

test.each([
  ["--count", "0"],
  ["--octets", "13"],
  ["--octets", "2049"],
  ["--vn", "x"],
])("capture %s %s is refused as usage", async (...words) => {
  await lines(agent(), ...words);
  expect(process.exitCode).toBe(2);
});
