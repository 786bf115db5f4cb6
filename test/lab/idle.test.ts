import { statusOf } from "@nve/lab/status";
import { expect, test } from "vitest";
import { useTwoRacks } from "../support/two-racks.ts";

const lab = useTwoRacks();

/** `NVE_IDLE_SECONDS=600 npx vitest run --project root test/lab/idle.test.ts` measures for longer. */
const { NVE_IDLE_SECONDS = "20" } = process.env;
const seconds = Number(NVE_IDLE_SECONDS);

const maxCpu = 0.02; // of a core
const maxBytes = 120e6;
/** V8 grows and shrinks its heap by more than this within minutes; a leak per LLDPDU or bookmark would pass it in ten. */
const maxGrowthBytes = 15e6;

test(
  "with eight VMs attached and nothing to do, each agent takes under 2 % of a core and 120 MB, and does not grow",
  async () => {
    await lab.createVns();
    await lab.ready("srv1", "srv2", "srv3", "srv4");
    for (const vn of ["red", "blue"]) {
      for (const n of [1, 2, 3, 4]) await lab.attach(`${vn}${n}`);
    }
    await pass(10); // start-up and its garbage
    const before = programs();
    await pass(seconds);
    const rows = programs().map(({ node, pid, cpuSeconds, rssBytes }) => {
      const was = before.find((one) => one.pid === pid);
      return {
        node,
        cpu: (cpuSeconds - (was?.cpuSeconds ?? 0)) / seconds,
        bytes: rssBytes,
        growth: rssBytes - (was?.rssBytes ?? 0),
      };
    });
    expect(rows).toHaveLength(7);
    process.stdout.write(
      `over ${seconds} s: ${rows.map(({ node, cpu, bytes, growth }) => `${node} ${(100 * cpu).toFixed(2)} % ${mb(bytes)} (${mb(growth)})`).join(", ")}\n`,
    );
    for (const { node, cpu, bytes, growth } of rows) {
      expect(cpu, `${node}: share of a core`).toBeLessThan(maxCpu);
      expect(bytes, `${node}: memory`).toBeLessThan(maxBytes);
      expect(growth, `${node}: growth`).toBeLessThan(maxGrowthBytes);
    }
  },
  (seconds + 60) * 1000,
);

function programs() {
  return statusOf(lab.name).flatMap(({ node, pid, cpuSeconds, rssBytes }) =>
    pid === undefined || cpuSeconds === undefined || rssBytes === undefined
      ? []
      : [{ node, pid, cpuSeconds, rssBytes }],
  );
}

const mb = (bytes: number): string => `${(bytes / 1e6).toFixed(1)} MB`;

/** Idleness is a matter of time: there is no event to wait for. */
const pass = (s: number) => new Promise((resolve) => setTimeout(resolve, s * 1000));
