import { nvaProgram } from "@nve/nva/cli/main";
import { type Outside, realOutside } from "@nve/nva/cli/outside";
import { runProgram } from "@nve/program/program";
import { vi } from "vitest";

export type Ran = {
  text: string;
  lines: string[];
  errors: string;
  notes: string[];
  exitCode: number;
};

/** Runs `nva …` as its process would, against the NVA at an address if it asks one; says what came of it. */
export async function runNva(
  address: string | undefined,
  argv: readonly string[],
  more: Partial<Outside> = {},
): Promise<Ran> {
  const lines: string[] = [];
  const errors: string[] = [];
  const notes: string[] = [];
  const spies = [
    vi.spyOn(process.stderr, "write").mockImplementation((text) => errors.push(String(text)) > 0),
    vi.spyOn(process.stdout, "write").mockImplementation((text) => lines.push(String(text)) > 0),
  ];
  const outside: Outside = {
    ...realOutside,
    print: (line) => lines.push(...line.split("\n")),
    note: (line) => notes.push(line),
    confirm: async () => undefined,
    ...more,
  };
  const before = process.exitCode;
  process.exitCode = 0;
  try {
    const asksNobody = address === undefined || argv.includes("--help");
    const words = asksNobody ? argv : [...argv, "--address", address];
    await runProgram(nvaProgram(outside), ["node", "nva", ...words]);
    const exitCode = Number(process.exitCode ?? 0);
    return { text: lines.join("\n"), lines, errors: errors.join(""), notes, exitCode };
  } finally {
    process.exitCode = before;
    for (const spy of spies) spy.mockRestore();
  }
}
