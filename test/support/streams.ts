import { type ChildProcess, spawn } from "node:child_process";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";

/** A program in a namespace, its output to be read by `linesOf`. */
export const spawnIn = (namespace: string, command: string, ...args: string[]): ChildProcess =>
  spawn("ip", ["netns", "exec", namespace, command, ...args], {
    stdio: ["ignore", "pipe", "inherit"],
  });

/** Its lines one after another; undefined at the end. */
export function linesOf(child: ChildProcess): { next(): Promise<string | undefined> } {
  if (child.stdout === null) throw new Error("its output is not to be read");
  const lines = createInterface({ input: child.stdout })[Symbol.asyncIterator]();
  return {
    next: async () => {
      const { done, value } = await lines.next();
      return done ? undefined : value;
    },
  };
}

const script = fileURLToPath(new URL("streams.mjs", import.meta.url));

/** Octets over TCP between two namespaces. @returns whether all of them came as they were sent */
export async function tcpArrives(
  from: string,
  to: string,
  address: string,
  octets: number,
): Promise<boolean> {
  const lines = await serve(to, "tcp-serve", address, "5001");
  const sent = await lineOf(from, "tcp-send", address, "5001", String(octets));
  return (await lines.next()) === `${octets} ${sent}`;
}

/** Datagrams that the kernel or a NIC splits (UDP_SEGMENT), as QUIC sends. @returns how many came whole */
export async function datagramsThatArrive(
  from: string,
  to: string,
  address: string,
  amount: number,
): Promise<number> {
  const lines = await serve(to, "udp-serve", address, "5002", String(amount));
  await lineOf(from, "udp-send", address, "5002", String(amount));
  return Number(await lines.next());
}

async function serve(namespace: string, ...words: string[]) {
  const lines = linesOf(spawnIn(namespace, process.execPath, script, ...words));
  if ((await lines.next()) !== "ready") throw new Error(`${words.join(" ")} did not begin`);
  return lines;
}

const lineOf = (namespace: string, ...words: string[]): Promise<string | undefined> =>
  linesOf(spawnIn(namespace, process.execPath, script, ...words)).next();
