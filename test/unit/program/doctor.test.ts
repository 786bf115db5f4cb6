import { doctorCommand, type Finding } from "@nve/program/doctor";
import { Refused } from "@nve/program/errors";
import { Command } from "commander";
import { expect, test } from "vitest";

async function doctor(findings: readonly Finding[], ...options: string[]) {
  const lines: string[] = [];
  const program = new Command("agent").option("--json", "print JSON", false);
  program.addCommand(
    doctorCommand(
      async () => findings,
      (line) => lines.push(line),
    ),
  );
  const outcome = await program.parseAsync(["doctor", ...options], { from: "user" }).then(
    () => "well",
    (error: unknown) => error,
  );
  return { lines, outcome };
}

const raw: Finding = { name: "CAP_NET_RAW", ok: false, detail: "for frames", fix: "run as root" };
const pcap: Finding = {
  name: "pcap",
  ok: false,
  detail: "the pcap link",
  fix: "run npm ci",
  optional: true,
};

test("what is missing is named with what mends it, and refused", async () => {
  const { lines, outcome } = await doctor([raw, pcap]);
  expect(lines).toEqual([
    "FEATURE      OK            FOUND          TO MEND IT",
    "CAP_NET_RAW  no            for frames     run as root",
    "pcap         no, optional  the pcap link  run npm ci",
  ]);
  expect(outcome).toEqual(new Refused("missing here: CAP_NET_RAW"));
});

test("what is optional is no fault, and JSON is the findings", async () => {
  const { lines, outcome } = await doctor([pcap], "--json");
  expect(outcome).toBe("well");
  expect(JSON.parse(lines.join(""))).toEqual([pcap]);
});
