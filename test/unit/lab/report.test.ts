import { createReport } from "@nve/lab/demo/report";
import { expect, test } from "vitest";

test("a check that does not hold is marked where it is printed and in the result, with or without colours", () => {
  for (const colours of [false, true]) {
    const lines: string[] = [];
    const report = createReport((line) => lines.push(line), colours);
    report.check("red1 → red2", "A2", true, "answers");
    report.check("red1 → red3", "A5", false, "does not answer");
    expect(report.checks).toEqual([
      { check: "red1 → red2", requirements: "A2", passed: true, detail: "answers" },
      { check: "red1 → red3", requirements: "A5", passed: false, detail: "does not answer" },
    ]);
    expect(lines).toEqual([
      expect.stringMatching(/✓.* red1 → red2 .*answers/),
      expect.stringMatching(/✗.* red1 → red3 .*does not answer/),
    ]);
  }
});
