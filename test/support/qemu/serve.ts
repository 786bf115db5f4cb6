import { openSync, read, readdirSync, writeSync } from "node:fs";
import { type Call, failureOf, fromLine, lineReader, toLine } from "./lines.ts";

export type Calls = Record<string, (...args: readonly never[]) => unknown>;

/** In the guest: answers the host's calls, one after another, until the host goes. */
export function serve(calls: Calls): void {
  const fd = openSync(channel(), "r+");
  const say = (line: string): void => {
    const octets = Buffer.from(line);
    for (let at = 0; at < octets.length; ) at += writeSync(fd, octets, at);
  };
  let turn = Promise.resolve();
  const hear = lineReader((line) => {
    const call = fromLine(line) as Call;
    turn = turn.then(() => answer(calls, call)).then(say);
  });
  const buffer = Buffer.alloc(65536);
  const more = (): void =>
    read(fd, buffer, 0, buffer.length, null, (error, length) => {
      if (error || length === 0) process.exit(error ? 1 : 0);
      hear(Buffer.from(buffer.subarray(0, length)));
      more();
    });
  more();
  say(toLine({ id: 0, value: "ready" }));
}

/** The one virtio port that there is. */
function channel(): string {
  const [port] = readdirSync("/sys/class/virtio-ports");
  if (port === undefined) throw new Error("the guest has no virtio port");
  return `/dev/${port}`;
}

async function answer(calls: Calls, { id, call, args }: Call): Promise<string> {
  try {
    const value = await calls[call]?.(...(args as never[]));
    return toLine({ id, value });
  } catch (error) {
    return toLine({ id, error: failureOf(error) });
  }
}
