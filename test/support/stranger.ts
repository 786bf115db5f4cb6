import { accessSync, constants } from "node:fs";
import { describe } from "vitest";

/** Tests with programs that we did not write: left out, with the reason in the suite's name, where one is missing. */
export function describeWith(programs: readonly string[], debian: string, tests: () => void): void {
  const missing = programs.filter((program) => !isInstalled(program));
  if (missing.length === 0) describe(debian, tests);
  else describe.skip(`${debian}: no ${missing.join(", ")} here: apt-get install ${debian}`, tests);
}

const isInstalled = (program: string): boolean =>
  ["/usr/sbin", "/usr/bin", "/sbin", "/bin"].some((folder) => {
    try {
      accessSync(`${folder}/${program}`, constants.X_OK);
      return true;
    } catch {
      return false;
    }
  });
