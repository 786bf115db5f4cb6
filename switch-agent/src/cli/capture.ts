import { createWriteStream } from "node:fs";
import { finished } from "node:stream/promises";
import { Refused } from "@nve/program/errors";
import { textArgument } from "@nve/program/program";
import { OutOfRange } from "@nve/protocol-spec/errors";
import { VnId } from "@nve/protocol-spec/ids";
import type { CapturedFrame, CaptureResponse } from "@nve/protocol-spec/proto/agent";
import { Command } from "commander";
import { Pcapng } from "./pcapng.ts";
import type { Streaming, World } from "./world.ts";

const EXAMPLES = `
Examples:
  switch-agent capture                           all frames, until Ctrl-C
  switch-agent capture --drops --count 10        the next ten that are dropped, with the reason
  switch-agent capture --port swp1 --vn 5001
  switch-agent capture -w - | tshark -r -        pcapng, with what became of each frame as a comment

5,000 frames a second at the most; what is more is counted and said at the end.
`;

type Options = {
  port?: string;
  vn?: number;
  drops: boolean;
  count?: number;
  octets?: number;
  write?: string;
  json: boolean;
  socket: string;
};

/** `capture`: frames with what became of them, as they come. */
export function captureCommand(world: World): Command {
  return new Command("capture")
    .description("show frames as they come in, each with what became of it")
    .option("--port <name>", "that come in at this access port, or go out there alone")
    .option(
      "--vn <id>",
      "of this VN",
      textArgument((text) => VnId(whole(text, "VN ID", 1, 0xffffff))),
    )
    .option("--drops", "that are dropped, or whose sender is told that they are too long", false)
    .option("--count <n>", "so many, then end", numberOf("count", 1, 1e9))
    .option(
      "--octets <n>",
      "of each frame at the most; 256 if not said",
      numberOf("octets", 14, 2048),
    )
    .option("-w, --write <file>", "into a file in pcapng in place of lines; -: standard output")
    .addHelpText("after", EXAMPLES)
    .action((_: object, self: Command) => capture(world, self.optsWithGlobals<Options>()));
}

const whole = (text: string, what: string, least: number, most: number): number => {
  const n = /^\d+$/.test(text) ? Number(text) : Number.NaN;
  if (n >= least && n <= most) return n;
  throw new OutOfRange(`"${text}" is no ${what}: ${least} to ${most}`);
};
const numberOf = (what: string, least: number, most: number) =>
  textArgument((text) => whole(text, what, least, most));

async function capture(world: World, options: Options): Promise<void> {
  const { port = "", vn = 0, drops, octets = 0, count = Number.POSITIVE_INFINITY } = options;
  const agent = await world.agent(options.socket);
  let streaming: Streaming | undefined;
  const end = (): void => streaming?.end();
  const into = sink(options, world.print, end);
  const seen = { frames: 0, lost: 0 };
  const hear = ({ frames, lost }: CaptureResponse): void => {
    if (frames.length === 0 && lost === 0n) note("capturing, until Ctrl-C");
    seen.lost += Number(lost);
    const some = frames.slice(0, count - seen.frames);
    seen.frames += some.length;
    for (const frame of some) into.take(frame);
    if (seen.frames >= count) end();
  };
  process.once("SIGINT", end).once("SIGTERM", end);
  try {
    streaming = agent.capture({ port, vnId: vn, drops, octets }, hear);
    await streaming.ended;
  } finally {
    process.off("SIGINT", end).off("SIGTERM", end);
    agent.close();
    await into.close();
  }
  note(
    `${seen.frames} frames${seen.lost === 0 ? "" : `, ${seen.lost} lost: more than 5,000 a second, or than this can write`}`,
  );
}

/** Beside what is printed. */
const note = (text: string): void => {
  process.stderr.write(`${text}\n`);
};

type Sink = { take(frame: CapturedFrame): void; close(): Promise<void> };

function sink({ write, json }: Options, print: (line: string) => void, end: () => void): Sink {
  if (write === undefined) {
    const line = json ? jsonLine : textLine;
    return { take: (frame) => print(line(frame)), close: async () => {} };
  }
  const pcapng = new Pcapng();
  const out = write === "-" ? process.stdout : createWriteStream(write);
  let fault: Error | undefined;
  out.on("error", (error) => {
    fault = error;
    end();
  });
  out.write(pcapng.begin());
  return {
    take: (frame) => {
      const { from, atUnixNs, octets, length } = frame;
      const link = from === "port" ? frame.link : `${from} ${frame.link}`;
      out.write(pcapng.frame({ atUnixNs, link, octets, length, comment: outcome(frame) }));
    },
    close: async () => {
      if (out !== process.stdout) {
        out.end();
        await finished(out).catch((error: Error) => {
          fault = error;
        });
      }
      if (fault !== undefined) throw new Refused(`cannot write ${write}: ${fault.message}`);
    },
  };
}

/** `23:15:45.123456  swp1 82  VN 5001 (red)  to 192.0.2.2 (vxlan)  02:… to 02:…, …`, in UTC. */
function textLine(frame: CapturedFrame): string {
  const { vtep, link, tag, says } = frame;
  const tagText = tag === undefined ? "untagged" : tag === 0 ? "priority" : String(tag);
  const from = frame.from === "port" ? `${link} ${tagText}` : vtep === "" ? link : `nve ${vtep}`;
  const time = timeOf(frame.atUnixNs).slice(11, 26);
  return printable(
    [time, from.padEnd(14), vnText(frame).padEnd(14), outcomeText(frame).padEnd(24), says].join(
      "  ",
    ),
  );
}

const printable = (text: string): string => text.replace(/\p{Cc}/gu, "?");

function vnText({ vnId, alias, vni }: CapturedFrame): string {
  if (vnId === 0) return vni === 0 ? "-" : `VNI ${vni}`;
  return alias === "" ? `VN ${vnId}` : `VN ${vnId} (${alias})`;
}

/** RFC 3339, with nanoseconds. */
function timeOf(unixNs: bigint): string {
  const second = new Date(Number(unixNs / 1_000_000_000n) * 1000).toISOString().slice(0, 19);
  return `${second}.${String(unixNs % 1_000_000_000n).padStart(9, "0")}Z`;
}

/** What became of it. */
function outcomeText({ verdict, reason, toPort, toTag, toVtep, ...frame }: CapturedFrame): string {
  switch (verdict) {
    case "forwarded":
      return toVtep === ""
        ? `to ${toPort} ${toTag === 0 ? "untagged" : toTag}`
        : `to nve ${toVtep} (${frame.encapsulation})`;
    case "flooded":
      return `flooded: ${frame.copiesToPorts} to ports, ${frame.copiesToNves} to nves`;
    case "told":
      return `sender told: ${reason}`;
    case "agent":
      return "to the agent";
    case "answered":
      return "answered";
    default: {
      const copies = frame.copiesToPorts + frame.copiesToNves;
      return `${verdict}: ${reason}${copies === 0 ? "" : ` (${copies} copies went)`}`;
    }
  }
}

/** For a packet comment. */
const outcome = (frame: CapturedFrame): string =>
  [outcomeText(frame), vnText(frame), ...(frame.vnic === "" ? [] : [`VNIC ${frame.vnic}`])].join(
    "; ",
  );

function jsonLine({ octets, atUnixNs, ...frame }: CapturedFrame): string {
  return JSON.stringify({ at: timeOf(atUnixNs), ...frame, octets: octets.toString("hex") });
}
