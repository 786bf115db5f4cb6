import { Command } from "commander";
import { Refused } from "./errors.ts";
import { type Column, show } from "./output.ts";

/** One thing that a program can use, and whether it has it here. */
export type Finding = {
  name: string;
  ok: boolean;
  detail: string;
  fix?: string;
  /** The program runs without it. */
  optional?: true;
};

/**
 * `doctor`: what this machine and these rights allow, with the line that mends what is missing.
 * @param probe looks, and changes nothing
 */
export const doctorCommand = (
  probe: () => Promise<readonly Finding[]>,
  print: (line: string) => void,
): Command =>
  new Command("doctor")
    .description("what this kernel and these rights allow, and how to mend what is missing")
    .action(async (_: object, command: Command) => {
      const { json = false } = command.optsWithGlobals<{ json?: boolean }>();
      const findings = await probe();
      show(findings, COLUMNS, { json, print });
      const missing = findings.filter(({ ok, optional }) => !ok && optional !== true);
      if (missing.length > 0)
        throw new Refused(`missing here: ${missing.map(({ name }) => name).join(", ")}`);
    });

const COLUMNS: readonly Column<Finding>[] = [
  { head: "FEATURE", of: ({ name }) => name },
  {
    head: "OK",
    of: ({ ok, optional }) => (ok ? "yes" : optional === true ? "no, optional" : "no"),
  },
  { head: "FOUND", of: ({ detail }) => detail },
  { head: "TO MEND IT", of: ({ ok, fix }) => (ok ? "" : fix) },
];
