import { Usage } from "@nve/program/errors";
import { type Output, toJson } from "@nve/program/output";
import { textArgument } from "@nve/program/program";
import { OutOfRange } from "@nve/protocol-spec/errors";
import { Mac, Vni } from "@nve/protocol-spec/ids";
import { IpAddress } from "@nve/protocol-spec/ip";
import type { TraceOutput, TraceRequest, TraceResponse } from "@nve/protocol-spec/proto/agent";
import { Command, Option } from "commander";
import { type FrameFields, frameOf } from "./trace-frame.ts";
import { asking, type World } from "./world.ts";

const EXAMPLES = `
Examples:
  switch-agent trace swp1 82 --from 02:00:00:00:00:01 --to 02:00:00:00:00:02 \\
      --src-ip 10.0.0.1 --dst-ip 10.0.0.2 --proto tcp --dst-port 25
  switch-agent trace swp1 82 --ether-type arp --from 02:00:00:00:00:01 --src-ip 10.0.0.1 --dst-ip 10.0.0.2
  switch-agent trace swp1 untagged 02000000000202000000000108004500…
  switch-agent trace --from-overlay --vtep 192.0.2.2 --vni 10001 \\
      --from 02:00:00:00:00:02 --to 02:00:00:00:00:01 --src-ip 10.0.0.2 --dst-ip 10.0.0.1

Nothing is sent, counted or learnt. Exit code 0 whatever becomes of the frame; 1 when it cannot be told; 2 usage.
`;

type Options = FrameFields & {
  fromOverlay: boolean;
  vtep?: IpAddress;
  vni?: Vni;
  encapsulation?: string;
};

/** `trace <port> <tag> <frame or fields>`: what would become of a frame, decision by decision. */
export function traceCommand(world: World): Command {
  const command = new Command("trace")
    .description(
      "tell what would become of a frame, decision by decision, from the dataplane's tables",
    )
    .argument("[port]", "access port at which it comes in")
    .argument(
      "[tag]",
      "its 802.1Q tag, 1 to 4094; `untagged`, or 0 for a priority tag",
      textArgument(tagOf),
    )
    .argument(
      "[frame]",
      "the frame without that tag, in hex digits, from its destination MAC on; or else these:",
    );
  for (const option of fieldOptions()) command.addOption(option);
  return command
    .option("--from-overlay", "it comes from another NVE, in place of <port> <tag>", false)
    .option("--vtep <ip>", "that NVE's address", textArgument(IpAddress))
    .option("--vni <n>", "the VNI that it comes with", number("VNI", 0, 0xffffff, Vni))
    .addOption(
      new Option("--encapsulation <kind>", "how it comes").choices([
        "vxlan",
        "nvgre",
        "mpls-over-gre",
      ]),
    )
    .addHelpText("after", EXAMPLES)
    .action(
      (
        port: string | undefined,
        tag: Tag | undefined,
        frame: string | undefined,
        options: Options,
        self: Command,
      ) => {
        const request = requestOf([port, tag, frame], options);
        return asking(world, self, async (agent, out) =>
          showTrace(await agent.trace(request), out),
        );
      },
    );
}

const fieldOptions = (): Option[] => [
  made("--from <mac>", "its source MAC", Mac),
  made("--to <mac>", "its destination MAC", Mac),
  made("--ether-type <type>", "`arp`, `ipv4`, `ipv6`, or a number (0x88b5)", etherType),
  made("--src-ip <ip>", "source of its IP packet, or who asks in ARP", IpAddress),
  made("--dst-ip <ip>", "destination of its IP packet, or who is asked for", IpAddress),
  made("--proto <p>", "`tcp`, `udp`, `icmp`, `icmpv6`, or a number; udp if not said", protocol),
  made("--src-port <n>", "of TCP or UDP; 49152 if not said", number("port", 0, 65_535)),
  made("--dst-port <n>", "of TCP or UDP; 9 if not said", number("port", 0, 65_535)),
  made("--dscp <n>", "of its IP packet", number("DSCP", 0, 63)),
  made(
    "--length <n>",
    "octets of the frame, without tag and checksum",
    number("length", 14, 65_535),
  ),
];

const made = (flags: string, description: string, make: (text: string) => unknown): Option =>
  new Option(flags, description).argParser(textArgument(make));

function number<T = number>(
  what: string,
  least: number,
  most: number,
  make = (n: number) => n as T,
) {
  return (text: string): T => {
    const n = /^(0x[0-9a-f]+|\d+)$/i.test(text) ? Number(text) : Number.NaN;
    if (n >= least && n <= most) return make(n);
    throw new OutOfRange(`"${text}" is no ${what}: ${least} to ${most}`);
  };
}

const etherTypes: Readonly<Record<string, number>> = { arp: 0x0806, ipv4: 0x0800, ipv6: 0x86dd };
const protocols: Readonly<Record<string, number>> = { icmp: 1, tcp: 6, udp: 17, icmpv6: 58 };
const etherType = (text: string): number =>
  etherTypes[text] ?? number("EtherType", 0x600, 0xffff)(text);
const protocol = (text: string): number => protocols[text] ?? number("protocol", 0, 255)(text);

type Tag = number | "untagged";
const tagOf = (text: string): Tag => (text === "untagged" ? text : number("tag", 0, 4094)(text));

type Words = readonly [string | undefined, Tag | undefined, string | undefined];

function requestOf([port, tag, hex]: Words, options: Options): TraceRequest {
  const { fromOverlay, vtep, vni, encapsulation = "", ...fields } = options;
  const none = { port: "", vtep: "", vni: 0, encapsulation: "" };
  if (fromOverlay) {
    if (vtep === undefined || vni === undefined)
      throw new Usage("--from-overlay needs --vtep and --vni");
    if (tag !== undefined) throw new Usage("--from-overlay has no <port> and <tag>");
    return { ...none, vtep, vni, encapsulation, frame: octetsOf(port, fields) };
  }
  if ((vtep ?? vni ?? options.encapsulation) !== undefined) {
    throw new Usage("--vtep, --vni and --encapsulation go with --from-overlay");
  }
  if (port === undefined || tag === undefined)
    throw new Usage("give <port> and <tag>, or --from-overlay");
  const tagged = tag === "untagged" ? {} : { tag };
  return { ...none, port, ...tagged, frame: octetsOf(hex, fields) };
}

function octetsOf(hex: string | undefined, fields: FrameFields): Buffer {
  if (hex === undefined) return frameOf(fields);
  if (Object.keys(fields).length > 0)
    throw new Usage("a frame in hex digits, or its fields, not both");
  const digits = hex.replace(/[\s:]/g, "");
  if (!/^([0-9a-f]{2})+$/i.test(digits))
    throw new Usage(`"${hex}" is no frame in hex digits, two for each octet`);
  return Buffer.from(digits, "hex");
}

function showTrace(trace: TraceResponse, { json, print }: Output): void {
  if (json) {
    print(toJson(trace));
    return;
  }
  const { steps, verdict, reason, outputs } = trace;
  const width = Math.max(...steps.map(({ at }) => at.length), verdict.length);
  const line = (at: string, says: string): void => print(`${at.padEnd(width)}  ${printable(says)}`);
  for (const { at, says } of steps) {
    line(at, at === "dropped" ? `${reason}: ${says}` : says);
  }
  if (verdict === "dropped" || verdict === "agent" || verdict === "kernel") return;
  line(verdict, outputs.map(outputText).join("; ") || "to nobody");
}

const printable = (text: string): string => text.replace(/\p{Cc}/gu, "?");

function outputText({ port, tag, vtep, encapsulation, vni }: TraceOutput): string {
  if (vtep !== "") return `to ${vtep} in ${encapsulation}, VNI ${vni}`;
  return `out of ${port}, ${tag === 0 ? "no tag" : `tag ${tag}`}`;
}
