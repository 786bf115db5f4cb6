import { beforeAll, expect, test } from "vitest";
import { until } from "../support/lab.ts";
import { useTwoRacks, VN } from "../support/two-racks.ts";

// One lab for the file: what our own TLVs add to plain VDP (protocol-spec, "Our own TLVs").
const lab = useTwoRacks();

beforeAll(async () => {
  await lab.createVns();
  await lab.ready("srv1", "srv2", "srv3");
});

test("H26: a refusal comes in the NVE's own words", async () => {
  const words = ["vnic", "attach", "tap-red1", "--vn", "4242", "--mac", "02:00:00:00:00:01"];
  const refused = await lab.exec("srv1", "hypervisor-agent", ...words);
  expect(refused.code).toBe(1);
  expect(refused.stderr).toContain(
    "the NVE refused VN 4242: the NVA says no: no VN with VN ID 4242",
  );
  expect(refused.stderr).toContain("(VDP error 5)");
});

test("H26: a VNIC that the NVE disconnects shows why", async () => {
  await lab.attach("blue1");
  await lab.run("nva", "nva", "vn", "delete", "blue", "--force");
  const lost = await until("blue1 to be disconnected", async () => {
    const vnic = await lab.vnicOf("blue1");
    return vnic.state === "associated" ? undefined : vnic;
  });
  expect(lost.reason).toMatch(/VN 10002/);
  await lab.detach("blue1");
  await lab.run("nva", "nva", "vn", "create", "blue", "--id", String(VN.blue), "--vni", "70002");
});
