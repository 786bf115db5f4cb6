import { appendFileSync, cpSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { findTopology } from "@nve/lab/find";
import { afterAll, expect, test } from "vitest";
import { useTwoRacks, vm } from "../support/two-racks.ts";

// One rack forwards in userspace, the other as usual.
const folder = mkdtempSync(join(tmpdir(), "userspace-"));
cpSync(dirname(findTopology("two-racks")), folder, { recursive: true });
appendFileSync(join(folder, "tor1", "config.yaml"), "dataplane: { driver: userspace }\n");
const lab = useTwoRacks(join(folder, "two-racks.clab.yml"));
afterAll(() => rmSync(folder, { recursive: true }));

test("A4, P11: a rack whose driver is userspace works with one whose is ebpf: within a VN, not between", async () => {
  await lab.createVns();
  await lab.ready("srv1", "srv2", "srv3");
  for (const one of ["red1", "red2", "red3", "blue1"]) await lab.attach(one);
  expect(await lab.ping("red1", vm("red2").ip)).toBe(true);
  expect(await lab.ping("red1", vm("red3").ip)).toBe(true);
  expect(await lab.ping("red3", vm("red2").ip)).toBe(true);
  expect(await lab.ping("blue1", vm("red2").ip, 1)).toBe(false); // blue2 is not attached
  const status = JSON.stringify(await lab.show("tor1", "switch-agent", "status"));
  expect(status).toContain("userspace");
  expect(await lab.run("tor1", "tc", "filter", "show", "dev", "eth1", "ingress")).toBe("");
}, 120_000);
