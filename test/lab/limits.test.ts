import { appendFileSync, cpSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { findTopology } from "@nve/lab/find";
import { afterAll, expect, test } from "vitest";
import { until } from "../support/lab.ts";
import { useTwoRacks, vm } from "../support/two-racks.ts";

// The same lab with a switch that has room for two MACs.
const folder = mkdtempSync(join(tmpdir(), "limits-"));
cpSync(dirname(findTopology("two-racks")), folder, { recursive: true });
appendFileSync(join(folder, "tor1", "config.yaml"), "dataplane: { tables: { macs: 2 } }\n");
const lab = useTwoRacks(join(folder, "two-racks.clab.yml"));
afterAll(() => rmSync(folder, { recursive: true }));

const macs = async () => {
  const tables = (await lab.show("tor1", "switch-agent", "show", "tables")) as {
    name: string;
    entries: string;
    size: string;
    refused: string;
  }[];
  const found = tables.find(({ name }) => name === "macs");
  return {
    entries: Number(found?.entries),
    size: Number(found?.size),
    refused: Number(found?.refused),
  };
};

test("V10: a VNIC for which the switch has no room is refused with the reason, counted, and takes nothing from others", async () => {
  await lab.createVns();
  await lab.ready("srv1", "srv2");
  await lab.attach("red1");
  await lab.attach("red2");
  expect(await macs()).toEqual({ entries: 2, size: 2, refused: 0 });
  const { code, stderr } = await lab.tryAttach("blue1");
  expect(code).toBe(1);
  expect(stderr).toContain("this switch has no room left: its table of macs holds 2");
  expect(stderr).not.toContain("70002"); // the VNI is nothing for stations
  const [refusal] = await lab.refusals("tor1");
  expect(refusal).toMatchObject({ code: 2, reason: expect.stringContaining("no room left") });
  expect((await macs()).refused).toBeGreaterThan(0);
  expect(await lab.ping("red1", vm("red2").ip)).toBe(true);
});

test("V10: with room again it is let in", async () => {
  await lab.detach("red2");
  await until("the switch to have room", async () => (await macs()).entries < 2 || undefined);
  await lab.attach("blue1");
  expect(await macs()).toMatchObject({ entries: 2 });
});
