import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { afterAll, expect, test } from "vitest";

// The bench's own lab (test/bench/migration), which also takes the times: here only what becomes of all of them counts.
const bench = fileURLToPath(new URL("../bench/main.mjs", import.meta.url));
const VNICS = 500;
/** As hypervisors do it: two to each server. */
const AT_ONCE = 20;
const MOST_MS = 420_000;

type Evacuation = {
  failed?: string;
  vnics: number;
  signallingMs: number;
  sample: { streams: number; sent: number; lost: number; twice: number };
  left: Record<string, number>;
};

const folder = mkdtempSync(join(tmpdir(), "evacuation-"));
let child: ChildProcess | undefined;
afterAll(async () => {
  if (child?.exitCode === null && child.signalCode === null) {
    child.kill("SIGTERM"); // it takes its lab down
    await once(child, "exit");
  }
  rmSync(folder, { recursive: true });
}, 30_000);

async function evacuated(): Promise<Evacuation> {
  const some = ["--vnics", String(VNICS), "--at-once", String(AT_ONCE)];
  const words = ["--only", "evacuation", ...some, "--json"];
  const keep = ["--keep", join(folder, "moves.json")];
  child = spawn(process.execPath, [bench, "migration", ...words, ...keep], {
    stdio: ["ignore", "pipe", "inherit"],
  });
  let text = "";
  child.stdout?.setEncoding("utf8").on("data", (more: string) => {
    text += more;
  });
  await once(child, "close");
  return (JSON.parse(text) as { parts: { evacuation: Evacuation } }).parts.evacuation;
}

test(
  "P9: 500 VNICs leave one server for ten others: all arrive, no VN goes dark, nothing is left where they were",
  async () => {
    const { failed, vnics, signallingMs, sample, left } = await evacuated();
    expect(failed).toBeUndefined();
    expect(vnics).toBe(VNICS);
    expect(signallingMs).toBeGreaterThan(0);
    expect(sample.streams).toBe(20);
    expect(sample.sent).toBeGreaterThan(20 * 20);
    expect(sample).toMatchObject({ lost: 0, twice: 0 });
    const { afterMs, ...counts } = left;
    expect(afterMs).toBeLessThan(30_000);
    expect(counts).toEqual({
      notWhereTheyShouldBe: 0,
      vnicsAtServer: 0,
      vnicsAtSwitch: 0,
      vnsAtSwitch: 0,
      addressesAtSwitch: 0,
      floodedTo: 0,
      claims: 0,
      migrations: 0,
    });
  },
  MOST_MS,
);
