import { appendFileSync, cpSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { findTopology } from "@nve/lab/find";
import { afterAll, expect, test } from "vitest";
import { useTwoRacks, VN, vm } from "../support/two-racks.ts";

// The same lab on a kernel before TCX (Linux 6.6; Debian 12 has 6.1): programs are attached through clsact.
const folder = mkdtempSync(join(tmpdir(), "clsact-"));
cpSync(dirname(findTopology("two-racks")), folder, { recursive: true });
for (const tor of ["tor1", "tor2"])
  appendFileSync(join(folder, tor, "config.yaml"), "dataplane: { attach: clsact }\n");
for (const server of ["srv1", "srv2", "srv3", "srv4"])
  appendFileSync(join(folder, server, "config.yaml"), "virtualSwitch: { attach: clsact }\n");
const lab = useTwoRacks(join(folder, "two-racks.clab.yml"));
afterAll(() => rmSync(folder, { recursive: true }));

const filters = (node: string, port: string, way: "ingress" | "egress") =>
  lab.run(node, "tc", "filter", "show", "dev", port, way);

test("H1, A4: with clsact VMs of a VN reach each other on one ToR and across racks, and no other VN", async () => {
  await lab.createVns();
  await lab.ready("srv1", "srv2", "srv3");
  for (const one of ["red1", "red2", "red3", "blue1", "blue3"]) await lab.attach(one);
  expect(await filters("tor1", "eth1", "ingress")).toContain("direct-action");
  expect(await filters("srv1", "eth1", "ingress")).toContain("direct-action");
  expect(await filters("srv1", vm("red1").interface, "ingress")).toContain("direct-action");
  expect(await lab.ping("red1", vm("red2").ip)).toBe(true);
  expect(await lab.ping("red1", vm("red3").ip)).toBe(true);
  expect(await lab.ping("blue1", vm("blue3").ip)).toBe(true);
  expect(await lab.ping("blue1", vm("red2").ip, 1)).toBe(false); // blue2 is not attached
});

test("H2: with clsact a VNIC that is detached leaves no program, no tag and no mapping", async () => {
  for (const one of ["red1", "blue1"]) await lab.detach(one);
  expect(await filters("srv1", vm("red1").interface, "ingress")).toBe("");
  expect((await lab.tags("tor1")).filter(({ port }) => port === "eth1")).toEqual([]);
  const left = (await lab.mappings()).filter(
    ({ vnId, mac }) => vnId === VN.red && mac === vm("red1").mac,
  );
  expect(left).toEqual([]);
  await lab.attach("red1");
  expect(await lab.ping("red1", vm("red3").ip)).toBe(true);
});
