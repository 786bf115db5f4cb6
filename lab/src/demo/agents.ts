import { Refused } from "@nve/program/errors";
import { z } from "zod";
import { execIn } from "../labs.ts";
import { complaint } from "../shell.ts";

/** Runs a command in a node, which must succeed. @throws Refused with what it said */
export async function tell(
  lab: string,
  node: string,
  ...command: readonly string[]
): Promise<string> {
  const outcome = await execIn(lab, node, command);
  if (outcome.code === 0) return outcome.stdout;
  throw new Refused(`${node}: \`${command.join(" ")}\`: ${complaint(outcome)}`);
}

// Of what the agents show, what the demo looks at.

const vnic = z.object({
  interface: z.string(),
  state: z.string(),
  vns: z.array(z.object({ vnId: z.number(), tag: z.number() })),
});
export type Vnic = z.infer<typeof vnic>;

const located = z.object({ vnId: z.number(), mac: z.string() });
export type Located = z.infer<typeof located>;

const tag = z.object({ port: z.string(), tag: z.number(), vn: z.number() });

const uplink = z.object({ interface: z.string(), state: z.string(), evb: z.boolean() });

/** VNICs of a server, as its hypervisor agent sees them. */
export const vnicsOf = (lab: string, server: string): Promise<readonly Vnic[]> =>
  show(lab, server, ["hypervisor-agent", "vnic", "list"], vnic);

export const uplinksOf = (lab: string, server: string) =>
  show(lab, server, ["hypervisor-agent", "show", "uplinks"], uplink);

/** What a ToR has lent. */
export const tagsOf = (lab: string, tor: string) =>
  show(lab, tor, ["switch-agent", "show", "tags"], tag);

/** {VN, MAC} that a ToR forwards to. */
export const fdbOf = (lab: string, tor: string): Promise<readonly Located[]> =>
  show(lab, tor, ["switch-agent", "show", "fdb"], located);

/** {VN, MAC} that the NVA knows. */
export const mappingsOf = (lab: string): Promise<readonly Located[]> =>
  show(lab, "nva", ["nva", "mapping", "list"], located);

async function show<T>(
  lab: string,
  node: string,
  command: readonly string[],
  row: z.ZodType<T>,
): Promise<readonly T[]> {
  const rows = z.array(row).safeParse(JSON.parse(await tell(lab, node, ...command, "--json")));
  if (rows.success) return rows.data;
  throw new Refused(
    `${node}: \`${command.join(" ")} --json\` shows something else: ${rows.error.message}`,
  );
}

/** Looks every 50 ms until it is so, or the time is over. */
export async function becomes(probe: () => Promise<boolean>, withinMs: number): Promise<boolean> {
  const deadline = performance.now() + withinMs;
  while (!(await probe())) {
    if (performance.now() > deadline) return false;
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
  return true;
}
