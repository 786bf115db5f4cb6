import { appendFileSync, cpSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { findTopology } from "@nve/lab/find";
import { afterAll, expect, test } from "vitest";
import { startStream } from "../support/datagram-stream.ts";
import { until } from "../support/lab.ts";
import { labPrograms } from "../support/programs.ts";
import { useTwoRacks, VN, vm } from "../support/two-racks.ts";

// red in pull, and what is not known is dropped: a MAC that is forgotten is a datagram lost.
const folder = mkdtempSync(join(tmpdir(), "restart-pull-"));
cpSync(dirname(findTopology("two-racks")), folder, { recursive: true });
for (const tor of ["tor1", "tor2"])
  appendFileSync(
    join(folder, tor, "config.yaml"),
    `vns: [{ vn: ${VN.red}, learning: pull, unknown: drop }]\n`,
  );
const lab = useTwoRacks(join(folder, "two-racks.clab.yml"));
const programs = labPrograms(lab);
afterAll(() => rmSync(folder, { recursive: true }));

test.each(["tor1", "tor2"])(
  "A18, hitless: in pull, %s killed and started again loses no datagram",
  async (tor) => {
    if (tor === "tor1") {
      await lab.createVns();
      await lab.ready("srv1", "srv3");
      await lab.attach("red1");
      await lab.attach("red3");
    }
    expect(await lab.ping("red1", vm("red3").ip, 10)).toBe(true);
    const stream = await startStream(lab.name, "red1", { node: "red3", ip: vm("red3").ip }, 1000);
    await programs.stop(tor, "SIGKILL");
    await programs.start(tor);
    await until(
      `${tor} to be reconciled`,
      async () => {
        const status = (await lab.show(tor, "switch-agent", "status")) as {
          dataplaneState: string;
        };
        return status.dataplaneState === "in sync" || undefined;
      },
      30_000,
    );
    expect(await lab.ping("red3", vm("red1").ip, 10)).toBe(true);
    const counted = await stream.end();
    expect(counted).toMatchObject({ received: counted.sent, twice: 0 });
  },
);
