import { OutOfRange } from "@nve/protocol-spec/errors";
import { type Command, CommanderError, Help, InvalidArgumentError } from "commander";
import { Refused } from "./errors.ts";

/** Runs a command line. Exit codes: 0 done, 1 refused or failed, 2 usage. Our own mistakes keep their stack trace. */
export async function runProgram(
  program: Command,
  argv: readonly string[] = process.argv,
): Promise<void> {
  strict(program);
  if (!process.stdout.listeners("error").includes(endWithReader))
    process.stdout.on("error", endWithReader);
  try {
    await program.parseAsync(argv);
  } catch (error) {
    if (error instanceof CommanderError) {
      process.exitCode = error.exitCode === 0 ? 0 : 2;
    } else if (error instanceof Refused) {
      process.stderr.write(`error: ${error.message}\n`);
      process.exitCode = 1;
    } else {
      throw error;
    }
  }
}

/** A reader that has seen enough (`… | head -1`) is no error of ours. */
function endWithReader(error: NodeJS.ErrnoException): void {
  if (error.code !== "EPIPE") throw error;
  process.exit(0);
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

/**
 * Commander's own settings, for a command and all below it: no `process.exit`, help after a usage error, and help that
 * tells all options.
 */
function strict(command: Command): void {
  command
    .exitOverride()
    .showHelpAfterError("(--help tells what is possible)")
    .configureHelp({
      showGlobalOptions: true,
      optionDescription: (option) =>
        `${new Help().optionDescription(option)}${option.mandatory ? " (required)" : ""}`,
    });
  for (const below of command.commands) strict(below);
}
