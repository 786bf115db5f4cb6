import { writeSync } from "node:fs";
import { OutOfRange } from "@nve/protocol-spec/errors";
import { type Command, CommanderError, Help, InvalidArgumentError, type Option } from "commander";
import { Refused, Usage } from "./errors.ts";

const HELP = "(--help tells what is possible)";

/** Runs a command line. Exit codes: 0 done, 1 refused or failed, 2 usage. Our own mistakes keep their stack trace. */
export async function runProgram(
  program: Command,
  argv: readonly string[] = process.argv,
): Promise<void> {
  strict(program);
  if (!process.stdout.listeners("error").includes(endWithReader))
    process.stdout.on("error", endWithReader);
  if (!process.stderr.listeners("error").includes(leaveUnsaid))
    process.stderr.on("error", leaveUnsaid);
  try {
    await program.parseAsync(argv);
  } catch (error) {
    if (error instanceof CommanderError) {
      process.exitCode = error.exitCode === 0 ? 0 : 2;
    } else if (error instanceof Refused) {
      const isUsage = error instanceof Usage;
      process.stderr.write(`error: ${error.message}\n${isUsage ? `${HELP}\n` : ""}`);
      process.exitCode = isUsage ? 2 : 1;
    } else {
      throw error;
    }
  }
}

/** A reader that has seen enough (`… | head -1`) is no error of ours; a disk that is full is nobody's here. */
function endWithReader(error: NodeJS.ErrnoException): void {
  if (error.code === "EPIPE") process.exit(0);
  try {
    writeSync(2, `error: cannot write what is to be printed: ${reasonOf(error)}\n`);
  } catch {
    // Where errors go is full, too.
  }
  process.exit(1);
}

/** Nobody can be told then: the exit code tells. */
const leaveUnsaid = (): void => {};

function reasonOf(error: NodeJS.ErrnoException): string {
  if (error.code === "ENOSPC") return "no space is left (ENOSPC)";
  if (error.code === "EDQUOT") return "the quota is used up (EDQUOT)";
  return error.message;
}

/** For commander: a number argument made by one of the ids' makers; out of range is a usage error. */
export function argument<T>(make: (n: number) => T): (text: string) => T {
  return textArgument((text) => {
    if (!/^\d+$/.test(text)) throw new OutOfRange(`"${text}" is not a whole number`);
    return make(Number(text));
  });
}

export function textArgument<T>(make: (text: string) => T): (text: string) => T {
  return (text) => {
    try {
      return make(text);
    } catch (error) {
      if (error instanceof OutOfRange) throw new InvalidArgumentError(error.message);
      throw error;
    }
  };
}

/** Resolves with the first signal that asks the program to end. */
export function untilSignal(): Promise<"SIGINT" | "SIGTERM"> {
  return new Promise((resolve) => {
    for (const signal of ["SIGINT", "SIGTERM"] as const)
      process.once(signal, () => resolve(signal));
  });
}

/** Time for what is under way to end by itself, ms. */
const LEAVE_MS = 200;

/**
 * At an agent's end, when all is closed: what nobody can call off (gRPC's attempts to connect to an address that does
 * not answer take two minutes) keeps the process no longer.
 */
export function leave(): void {
  setTimeout(() => process.exit(), LEAVE_MS).unref();
}

/** That a flag is not set when it is not given goes without saying. */
function optionDescription(option: Option): string {
  const { defaultValue, mandatory } = option;
  const isNone = defaultValue === false || defaultValue === "";
  if (isNone) option.defaultValue = undefined;
  const text = new Help().optionDescription(option);
  if (isNone) option.defaultValue = defaultValue;
  return `${text}${mandatory ? " (required)" : ""}`;
}

/**
 * Commander's own settings, for a command and all below it: no `process.exit`, help after a usage error, and help that
 * tells all options.
 */
function strict(command: Command): void {
  command.exitOverride().showHelpAfterError(HELP).configureHelp({
    showGlobalOptions: true,
    optionDescription,
  });
  for (const below of command.commands) strict(below);
}
