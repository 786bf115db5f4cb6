import { Refused } from "@nve/program/errors";
import { nodeState } from "./labs.ts";
import { spawnIn } from "./namespaces.ts";
import { complaint, run } from "./shell.ts";

export type Capture = {
  path: string;
  /** Ends it, with all that has passed until now in the file. @returns frames that passed and are not in it: tcpdump was too slow */
  stop(): Promise<number>;
};

const startTimeoutMs = 5000;
/** Of the kernel, for what tcpdump has not read yet. */
const bufferKib = 8192;
/** Each takes this much of the buffer on the interface `any`, where its MTU does not tell that frames are smaller. */
const wholeFrame = 262_144;

/**
 * Writes what passes an interface of a node into a pcap file, from the moment that this resolves.
 *
 * @param filter in tcpdump's language; empty: all
 * @param octets of each frame, 1 … 262,144. On `any` the buffer holds 8 MiB of so many octets: 32 frames, if they are to be whole
 * @throws Refused with tcpdump's reason
 */
export function startCapture(
  lab: string,
  node: string,
  port: string,
  path: string,
  filter = "",
  octets = wholeFrame,
): Promise<Capture> {
  const tcpdump = [
    "tcpdump",
    "-i",
    port,
    "-w",
    path,
    "-U",
    "--immediate-mode",
    `-s${octets}`,
    `-B${bufferKib}`,
    "-Z",
    "root",
  ];
  const words = filter === "" ? tcpdump : [...tcpdump, filter];
  const child = spawnIn(nodeState(lab, node), words, {
    stdio: ["ignore", "ignore", "pipe"],
    detached: true, // ^C at the terminal is for us: what it has captured is still wanted
  });
  let said = "";
  const ended = new Promise<number>((resolve) => child.on("close", () => resolve(missedIn(said))));
  const stop = () => {
    child.kill("SIGINT");
    return ended;
  };
  return new Promise((resolve, reject) => {
    const fail = (why: string) => {
      clearTimeout(timer);
      child.kill("SIGKILL");
      reject(new Refused(`tcpdump on ${node}:${port}: ${why}`));
    };
    const timer = setTimeout(() => fail("does not start"), startTimeoutMs);
    child.on("error", (error) => fail(error.message));
    child.on("close", () => fail(said.trim()));
    child.stderr?.setEncoding("utf8").on("data", (text: string) => {
      said += text;
      if (!said.includes("listening on")) return;
      clearTimeout(timer);
      resolve({ path, stop });
    });
  });
}

const missedIn = (said: string): number =>
  Number(/^(\d+) packets? dropped by kernel/m.exec(said)?.[1] ?? 0);

/** The lines that tcpdump prints of a capture file, addresses as numbers. What it cannot dissect it dumps in lines of `\t0x…`. */
export async function readCapture(
  path: string,
  options: readonly string[] = [],
): Promise<readonly string[]> {
  const outcome = await run("tcpdump", ["-r", path, "-nn", "-t", ...options]);
  if (outcome.code !== 0) throw new Refused(`tcpdump cannot read ${path}: ${complaint(outcome)}`);
  return outcome.stdout.split("\n").filter((line) => line !== "");
}
