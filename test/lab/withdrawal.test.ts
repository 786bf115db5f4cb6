import { VXLAN_PORT } from "@nve/protocol-spec";
import { expect, test } from "vitest";
import { arp } from "../support/frames.ts";
import { until } from "../support/lab.ts";
import { labPrograms } from "../support/programs.ts";
import { useTwoRacks, VN, VNI, vm } from "../support/two-racks.ts";

// One lab for the file: who leaves is out of everybody's tables, and of their floods.
const lab = useTwoRacks();
const programs = labPrograms(lab);

/** Far below the keepalive timeout of VDP (some 20 s) and the hold time of the NVA (120 s). */
const AT_ONCE_MS = 1500;

const known = async (name: string): Promise<boolean> =>
  (await lab.mappings()).some(({ vnId, mac }) => vnId === VN[vm(name).vn] && mac === vm(name).mac);

test("P8: what goes to all goes to the NVEs with members and to no others, from the moment on that they have some", async () => {
  await lab.createVns();
  await lab.ready("srv1", "srv2", "srv3", "srv4");
  for (const name of ["red1", "red3", "blue1", "blue2"]) await lab.attach(name);
  await until("tor1 to know red3", async () => {
    return (await lab.fdb("tor1")).some(({ mac }) => mac === vm("red3").mac) || undefined;
  });
  const broadcasts = async (): Promise<number[]> => {
    const underlay = await lab.capture("tor1", "eth3", `udp port ${VXLAN_PORT}`);
    for (const name of ["red1", "blue1"])
      await lab.send(name, "eth0", arp(vm(name).mac, "10.0.1.99"));
    const lines = await underlay.lines();
    return [VNI.red, VNI.blue].map((vni) => lines.filter((l) => l.includes(`vni ${vni}`)).length);
  };
  expect(await broadcasts()).toEqual([1, 0]); // blue has its members behind tor1 alone
  await lab.attach("blue3");
  await until("tor1 to know blue3", async () => {
    return (await lab.fdb("tor1")).some(({ vnId }) => vnId === VN.blue) || undefined;
  });
  expect(await broadcasts()).toEqual([1, 1]);
  await lab.detach("blue3");
  await until("tor1 to forget it", async () => {
    const remotes = (await lab.fdb("tor1")).filter(({ where }) => where === "remote");
    return remotes.every(({ vnId }) => vnId !== VN.blue) || undefined;
  });
  expect(await broadcasts()).toEqual([1, 0]);
});

test("H22, H19: what a VNIC had is withdrawn at the NVA and at the other ToR as soon as it is detached", async () => {
  await lab.detach("red3");
  await until("the NVA to forget it", async () => !(await known("red3")) || undefined, AT_ONCE_MS);
  const far = await lab.fdb("tor1");
  expect(far.map(({ mac }) => mac)).not.toContain(vm("red3").mac);
  expect(await known("red1")).toBe(true);
});

test("H22: a server that is shut down takes all that it had with it at once; the others' stays", async () => {
  await lab.attach("red3");
  expect(await known("blue1")).toBe(true);
  await programs.stop("srv1", "SIGTERM");
  await until(
    "the NVA to forget its VNICs",
    async () => (!(await known("red1")) && !(await known("blue1"))) || undefined,
    AT_ONCE_MS,
  );
  expect(await known("red3")).toBe(true);
  expect(await known("blue2")).toBe(true);
  expect((await lab.tags("tor1")).map(({ port }) => port)).toEqual(["eth2"]);
});
