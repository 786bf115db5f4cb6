import { argument, Refused, runProgram, Usage } from "@nve/program";
import { Vid } from "@nve/protocol-spec";
import { Command } from "commander";
import { afterEach, expect, test, vi } from "vitest";

afterEach(() => {
  process.exitCode = undefined;
  vi.restoreAllMocks();
});

async function exitOf(...argv: string[]) {
  const errors: string[] = [];
  const lines: string[] = [];
  vi.spyOn(process.stderr, "write").mockImplementation((text) => errors.push(String(text)) > 0);
  vi.spyOn(process.stdout, "write").mockImplementation((text) => lines.push(String(text)) > 0);
  const program = new Command("demo").option("--json", "print JSON");
  program
    .command("lend")
    .requiredOption("--tag <vid>", "tag", argument(Vid))
    .option("--for <time>", "until then", "1h")
    .option("--force", "by force", false)
    .action(({ tag }: { tag: Vid }) => {
      if (tag === 13) throw new Refused("tag 13 is lent: take another");
      if (tag === 14) throw new Usage("--tag 14 goes with no --json");
    });
  await runProgram(program, ["node", "demo", ...argv]);
  return { code: process.exitCode ?? 0, errors: errors.join(""), lines: lines.join("") };
}

test("a subcommand's help tells what is required, and the options that all have", async () => {
  const { lines } = await exitOf("lend", "--help");
  expect(lines).toMatch(/--tag <vid> +tag \(required\)/);
  expect(lines).toMatch(/--json +print JSON/);
  expect(lines).toMatch(/--for <time> +until then \(default: "1h"\)/);
  expect(lines).toMatch(/--force +by force\n/);
});

test("exit codes: 0 done, 1 refused, 2 usage", async () => {
  expect(await exitOf("lend", "--tag", "7")).toMatchObject({ code: 0, errors: "" });
  expect(await exitOf("lend", "--tag", "13")).toMatchObject({
    code: 1,
    errors: "error: tag 13 is lent: take another\n",
  });
  expect(await exitOf("lend", "--tag", "14")).toMatchObject({
    code: 2,
    errors: "error: --tag 14 goes with no --json\n(--help tells what is possible)\n",
  });
  expect((await exitOf("--help")).code).toBe(0);
  for (const wrong of [["lend"], ["lend", "--tag", "4095"], ["lend", "--tag", "x"], ["lnd"], []]) {
    const { code, errors } = await exitOf(...wrong);
    expect(code, wrong.join(" ")).toBe(2);
    expect(errors).not.toBe("");
  }
});
