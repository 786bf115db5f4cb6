import { expect, test } from "vitest";
import { until } from "../support/lab.ts";
import { labPrograms } from "../support/programs.ts";
import { useTwoRacks, vm } from "../support/two-racks.ts";

// One lab for the file. Agents die without a word and come again.
const lab = useTwoRacks();
const programs = labPrograms(lab);

test("a hypervisor-agent that was killed and started again attaches its VNICs at once, under their names of before", async () => {
  await lab.createVns();
  await lab.ready("srv1", "srv2");
  const red1 = await lab.attach("red1");
  await lab.attach("red2");
  await programs.stop("srv1", "SIGKILL");
  await programs.start("srv1");
  const again = await lab.attach("red1", "--vnic", red1.vnic, "--timeout", "5");
  expect(again.state).toBe("associated");
  expect(again.vns[0]?.tag).toBe(red1.vns[0]?.tag); // its VSI was still there
  expect(await lab.ping("red1", vm("red2").ip)).toBe(true);
});

test("a switch-agent that was killed and started again has its VNICs back by itself, and traffic goes on", async () => {
  const tags = await lab.tags("tor1");
  await programs.stop("tor1", "SIGKILL");
  expect(await lab.ping("red1", vm("red2").ip, 1)).toBe(false); // nothing is pinned yet: README
  await programs.start("tor1");
  await until(
    "both VNICs to be back",
    async () => (await lab.tags("tor1")).length === tags.length || undefined,
    20_000,
  );
  expect(await lab.ping("red1", vm("red2").ip)).toBe(true);
  const mappings = await lab.mappings();
  expect(mappings.map(({ mac }) => mac).sort()).toEqual([vm("red1").mac, vm("red2").mac]);
});
