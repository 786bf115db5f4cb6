import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Refused } from "@nve/program/errors";
import { show } from "@nve/program/output";
import { runProgram } from "@nve/program/program";
import { Command } from "commander";
import { type Check, createReport, type Report } from "./demo/report.ts";
import { type Told, tellStory, type Wires, watchWires } from "./demo/story.ts";
import { readTenants } from "./demo/vms.ts";
import { down } from "./down.ts";
import { findTopology } from "./find.ts";
import { untilInterrupted } from "./interrupt.ts";
import { readTopology } from "./topology.ts";
import { up } from "./up.ts";

type Options = { keep?: boolean; json?: boolean; name?: string };

await runProgram(
  new Command("demo")
    .description("The main job as a story: virtual networks over two racks, from attach to detach.")
    .option("--keep", "leave the lab up, and say what to try")
    .option("--name <lab>", "call the lab so: beside a two-racks that is up already")
    .option("--json", "print the result as JSON, and nothing else")
    .action(demo),
);

async function demo({ keep = false, json = false, name = "two-racks" }: Options): Promise<void> {
  const begin = performance.now();
  const print = (line: string) => void (json || process.stdout.write(`${line}\n`));
  const report = createReport(print, process.stdout.isTTY === true);
  const told = await untilInterrupted((signal) => inLab(report, name, keep, signal));
  const seconds = Math.round((performance.now() - begin) / 100) / 10;
  const failed = report.checks.filter((one) => !one.passed).length;
  if (json) {
    const result = {
      passed: failed === 0,
      seconds,
      attachToFirstPingMs: told?.attachToFirstPingMs,
      migration: told?.migration,
      checks: report.checks,
    };
    process.stdout.write(`${JSON.stringify(result, null, 2)}\n`);
  } else {
    summary(report.checks, print);
    const { length } = report.checks;
    const verdict =
      failed === 0
        ? `All of it works: ${length} checks in ${seconds} s.`
        : `${failed} of ${length} checks FAILED, in ${seconds} s.`;
    print(`\n${verdict}${keep ? "" : " Nothing is left behind."}`);
    if (keep) print(suggestions(name));
  }
  if (failed > 0) process.exitCode = 1;
}

/**
 * Whatever happens, the lab goes when it is not to be kept; it is never kept after a signal. One of that name that
 * was up before is not ours to take down: then `up` refuses.
 */
async function inLab(
  report: Report,
  name: string,
  keep: boolean,
  signal: AbortSignal,
): Promise<Told | undefined> {
  const path = findTopology("two-racks");
  const folder = mkdtempSync(join(tmpdir(), "split-nve-demo-"));
  report.heading(
    "Two racks: a ToR switch and two servers each, a plain IP router between them, an NVA",
  );
  try {
    const wires = await upAndWatched(name, path, folder, report, signal);
    try {
      const stopIf = () => {
        if (signal.aborted) throw new Refused("interrupted");
      };
      return await tellStory(
        { lab: name, tenants: readTenants(), report, folder, signal, stopIf },
        wires,
      );
    } catch (error) {
      if (!(error instanceof Refused)) throw error;
      const why = signal.aborted ? "interrupted" : error.message;
      report.check("the story goes on to its end", "", false, why);
      return undefined;
    } finally {
      await Promise.all([wires.access.stop(), wires.underlay.stop()]);
      if (!keep || signal.aborted) await down(name);
    }
  } finally {
    rmSync(folder, { recursive: true });
  }
}
async function upAndWatched(
  name: string,
  path: string,
  folder: string,
  { say }: Report,
  signal: AbortSignal,
): Promise<Wires> {
  let watching: Promise<Wires> | undefined;
  const beforeStart = () => {
    watching = watchWires(name, folder);
    return watching;
  };
  await up(readTopology(path, name), path, { say, signal, beforeStart });
  return watching ?? watchWires(name, folder);
}

function summary(checks: readonly Check[], print: (line: string) => void): void {
  print("");
  show<Check>(
    checks,
    [
      { head: "CHECK", of: (row) => row.check },
      { head: "REQUIREMENTS", of: (row) => row.requirements },
      { head: "RESULT", of: (row) => (row.passed ? "ok" : "FAILED") },
    ],
    { json: false, print },
  );
}

/** Each line can be pasted as it is. */
function suggestions(lab: string): string {
  const attach =
    "hypervisor-agent vnic attach tap-red4 --vn 10001 --mac 02:00:00:00:00:04 --ip 10.0.1.11";
  const lines = [
    [`status ${lab}`, "what runs, with memory and CPU"],
    [`exec ${lab} red1 -- ping -c3 10.0.1.23`, "red1 to red3, across the racks"],
    [`exec ${lab} tor1 -- switch-agent show fdb`, "who is where"],
    [
      `exec ${lab} tor1 -- switch-agent show ports`,
      "the access ports, and who is at their other end",
    ],
    [`exec ${lab} nva -- nva mapping list`, "what the NVA knows"],
    [`exec ${lab} srv4 -- ${attach}`, "red4 comes back"],
    [`exec ${lab} red1 -- ping 10.0.1.23 >/dev/null &`, "something to see on the wires:"],
    [`exec ${lab} spine -- tcpdump -nn -i eth1 -c6 udp port 4789`, "VXLAN between the ToRs"],
    [`exec ${lab} srv1 -- tcpdump -nne -i eth1 -c6 vlan`, "the same frames on the access link"],
    [`down ${lab}`, "all of it goes away, that ping, too"],
  ];
  const text = lines.map(([words = "", why]) => `  npx lab ${words.padEnd(60)}  # ${why}`);
  return `\nThe lab is still up. To try:\n${text.join("\n")}`;
}
