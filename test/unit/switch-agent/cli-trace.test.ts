import { runProgram } from "@nve/program/program";
import { IpAddress, Mac } from "@nve/protocol-spec";
import type { TraceRequest, TraceResponse } from "@nve/protocol-spec/proto/agent";
import { switchAgent } from "@nve/switch-agent/cli/switch-agent";
import { frameOf } from "@nve/switch-agent/cli/trace-frame";
import type { AgentClient } from "@nve/switch-agent/cli/world";
import { frameText } from "@nve/switch-agent/dataplane/frame-text";
import type { Command } from "commander";
import { afterEach, expect, test, vi } from "vitest";

const nowhere = {
  ...{ port: "", tag: 0, vtep: "", vni: 0, encapsulation: "", byHand: false, link: "" },
  ...{ destinationMac: "", sourceMac: "", source: "", dscp: 0, ecn: 0, ttl: 0, octets: 0 },
};
const forwarded: TraceResponse = {
  steps: [
    { at: "frame", says: "a frame\u001b[31m", facts: { port: "swp1" } },
    { at: "destination", says: "it is at swp2, tag 83", facts: {} },
  ],
  verdict: "forwarded",
  reason: "",
  outputs: [{ ...nowhere, port: "swp2", tag: 83 }],
};
const dropped: TraceResponse = {
  steps: [{ at: "dropped", says: "no VN has it", facts: { reason: "untagged" } }],
  ...{ verdict: "dropped", reason: "untagged", outputs: [] },
};

let asked: TraceRequest | undefined;
afterEach(() => {
  process.exitCode = undefined;
  asked = undefined;
});

async function lines(answer: TraceResponse, ...argv: string[]): Promise<string[]> {
  const printed: string[] = [];
  const trace = async (request: TraceRequest) => {
    asked = request;
    return answer;
  };
  const program = switchAgent({
    agent: async () => ({ trace, close: () => {} }) as unknown as AgentClient,
    print: (line) => printed.push(line),
    run: async () => {},
    cleanup: async () => [],
  });
  silence(program);
  await runProgram(program, ["node", "switch-agent", "trace", ...argv]);
  return printed;
}

function silence(command: Command): void {
  command.configureOutput({ writeErr: () => {} });
  command.commands.forEach(silence);
}

const macs = ["--from", "02:00:00:00:00:0a", "--to", "02:00:00:00:00:0b"];
const ips = ["--src-ip", "10.0.0.1", "--dst-ip", "10.0.0.2"];

test("trace prints a line for each decision, and where it goes, without control characters", async () => {
  expect(await lines(forwarded, "swp1", "82", ...macs, ...ips)).toEqual([
    "frame        a frame?[31m",
    "destination  it is at swp2, tag 83",
    "forwarded    out of swp2, tag 83",
  ]);
  expect(asked).toMatchObject({ port: "swp1", tag: 82, vtep: "", vni: 0 });
});

test("trace says why a frame is dropped, and --json has all the agent says", async () => {
  expect(await lines(dropped, "swp1", "untagged", ...macs, ...ips)).toEqual([
    "dropped  untagged: no VN has it",
  ]);
  expect(asked).not.toHaveProperty("tag");
  const [json = ""] = await lines(
    dropped,
    "swp1",
    "0",
    "02:00 0000000b 02000000000a 88b5",
    "--json",
  );
  expect(JSON.parse(json)).toEqual(dropped);
  expect(asked?.tag).toBe(0);
  expect(asked?.frame.toString("hex")).toBe("02000000000b02000000000a88b5");
});

test("trace of a frame from another NVE", async () => {
  const from = [
    "--from-overlay",
    "--vtep",
    "192.0.2.2",
    "--vni",
    "0xff",
    "--encapsulation",
    "nvgre",
  ];
  await lines(forwarded, ...from, ...macs, ...ips);
  expect(asked).toMatchObject({ port: "", vtep: "192.0.2.2", vni: 255, encapsulation: "nvgre" });
  await lines(forwarded, ...from, "02000000000b02000000000a88b5");
  expect(asked?.frame).toHaveLength(14);
});

test.each([
  [["swp1"], "give <port> and <tag>"],
  [["swp1", "82"], "give --from"],
  [["swp1", "82", "zz"], "no frame in hex digits"],
  [["swp1", "82", "020"], "no frame in hex digits"],
  [["swp1", "82", "0200", ...macs], "not both"],
  [["swp1", "4095", ...macs, ...ips], ""],
  [["swp1", "82", ...macs], "--ether-type"],
  [["swp1", "82", ...macs, "--src-ip", "10.0.0.1"], "go together"],
  [["swp1", "82", ...macs, "--src-ip", "10.0.0.1", "--dst-ip", "fd00::1"], "one family"],
  [["swp1", "82", ...macs, ...ips, "--proto", "icmp", "--dst-port", "1"], "ports are of"],
  [["swp1", "82", ...macs, ...ips, "--length", "20"], "its headers have 42 octets"],
  [["swp1", "82", ...macs, "--ether-type", "0x88b5", "--dscp", "1"], "--dscp is of IP packets"],
  [["--from-overlay", "--vtep", "192.0.2.2", ...macs, ...ips], "needs --vtep and --vni"],
  [["swp1", "82", "--vni", "1", ...macs, ...ips], "go with --from-overlay"],
])("trace %j is refused as usage", async (words, reason) => {
  const said = vi.spyOn(process.stderr, "write").mockReturnValue(true);
  await lines(forwarded, ...words);
  expect(said.mock.calls.join("")).toContain(reason);
  said.mockRestore();
  expect(process.exitCode).toBe(2);
  expect(asked).toBeUndefined();
});

test("a frame is made of its fields, and told in words", () => {
  const [from, to] = [Mac("02:00:00:00:00:0a"), Mac("02:00:00:00:00:0b")];
  const [srcIp, dstIp] = [IpAddress("10.0.0.1"), IpAddress("10.0.0.2")];
  const said = (fields: Parameters<typeof frameOf>[0]) => frameText(frameOf({ from, ...fields }));
  expect(said({ to, srcIp, dstIp, length: 100 })).toBe(
    `${from} to ${to}, IPv4 10.0.0.1 to 10.0.0.2, udp 49152 to 9, 100 octets`,
  );
  expect(said({ etherType: 0x0806, srcIp, dstIp })).toBe(
    `${from} to ff:ff:ff:ff:ff:ff, ARP: who has 10.0.0.2? says 10.0.0.1, 60 octets`,
  );
  const v6 = { srcIp: IpAddress("fd00::1"), dstIp: IpAddress("fd00::2"), proto: 6, dstPort: 443 };
  expect(said({ to, ...v6 })).toBe(
    `${from} to ${to}, IPv6 fd00::1 to fd00::2, tcp 49152 to 443, 74 octets`,
  );
  expect(said({ to, etherType: 0x88b5 })).toBe(`${from} to ${to}, type 0x88b5, 60 octets`);
  expect(frameText(new Uint8Array(3))).toBe("3 octets, which is no frame");
});
