import { Refused } from "@nve/program/errors";
import type { AgentClient } from "../cli/world.ts";
import { mustNotFail, runHook } from "./hook.ts";
import { MAX_XML } from "./xml.ts";

type Asked = { guest: string; operation: string; vms: string; state: string; timeout: number };

/** For libvirt to write the XML: it does so at once. */
const XML_MS = 5_000;
/** In all, above what the VNICs may take: libvirt waits for the hook and does nothing else for that guest. */
const MARGIN_MS = 5_000;

/**
 * The hook, from libvirt's call to its answer, in a bounded time. What libvirt must not hear it only reads in our words.
 * @throws Refused for what libvirt has to hear
 */
export async function answerLibvirt(
  { timeout, ...asked }: Asked,
  connect: () => Promise<AgentClient>,
): Promise<void> {
  const timeoutMs = timeout * 1000;
  const end = setTimeout(
    () => {
      process.stderr.write(`hypervisor-agent: no answer in ${timeout} s and more: given up\n`);
      process.exit(mustNotFail(asked.operation) ? 0 : 1);
    },
    3 * timeoutMs + MARGIN_MS,
  );
  try {
    const xml = await written(process.stdin);
    await runHook({ ...asked, xml, timeoutMs }, connect);
  } catch (error) {
    if (!mustNotFail(asked.operation)) throw error;
    const reason = error instanceof Error ? error.message : String(error);
    process.stderr.write(`hypervisor-agent: ${reason}; ${asked.guest} runs on all the same\n`);
  } finally {
    clearTimeout(end);
  }
}

/** @throws Refused when it is too long, or does not end */
async function written(stdin: NodeJS.ReadStream): Promise<string> {
  const late = setTimeout(() => {
    stdin.destroy(new Refused(`libvirt has not written the domain's XML in ${XML_MS} ms`));
  }, XML_MS);
  const pieces: Buffer[] = [];
  let octets = 0;
  try {
    for await (const piece of stdin) {
      octets += (piece as Buffer).length;
      if (octets > MAX_XML) throw new Refused(`the domain's XML is longer than ${MAX_XML} octets`);
      pieces.push(piece as Buffer);
    }
  } finally {
    clearTimeout(late);
  }
  return Buffer.concat(pieces).toString("utf8");
}
