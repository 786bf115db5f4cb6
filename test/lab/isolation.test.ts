import { concat, decode, readFrame, uint, Vni, VXLAN_PORT, vxlanOctets } from "@nve/protocol-spec";
import { expect, test } from "vitest";
import { broadcast, testFrame } from "../support/frames.ts";
import { useTwoRacks, VNI, vm } from "../support/two-racks.ts";

const lab = useTwoRacks();
const vms = ["red1", "red2", "red3", "blue1", "blue2"];

test("P11: malformed tags, VLAN 0 before a tag, and frames to the underlay's address reach nobody of any VN, and the switch goes on", async () => {
  await lab.createVns();
  await lab.ready("srv1", "srv2", "srv3");
  for (const name of vms) await lab.attach(name);
  const tag = (await lab.vnicOf("red1")).vns[0]?.tag ?? 0;
  const tagged = (...tags: [number, number][]) => {
    const frame = testFrame(undefined);
    const between = tags.flatMap(([type, tci]) => [uint(2, type), uint(2, tci)]);
    return concat(frame.subarray(0, 12), ...between, frame.subarray(12));
  };
  const link = await lab.run("tor1", "cat", "/sys/class/net/eth3/address");
  const hears = await heard();
  await lab.send(
    "srv1",
    "eth1",
    tagged([0x88a8, tag]),
    tagged([0x8100, 4095]),
    tagged([0x8100, 0], [0x8100, tag]),
    tagged([0x8100, tag], [0x88a8, tag]),
    tagged([0x8100, tag], [0x8100, tag], [0x8100, tag]),
    concat(Buffer.from(link.trim().replaceAll(":", ""), "hex"), testFrame(tag).subarray(6)),
    concat(Buffer.from(link.trim().replaceAll(":", ""), "hex"), testFrame(undefined).subarray(6)),
  );
  expect(await hears()).toEqual([]);
  expect(await lab.ping("red1", vm("red3").ip)).toBe(true);
});

test("P11: of a member's VXLAN nothing that is cut off gets through, and reserved bits lead to no other VN", async () => {
  const whole = vxlanOctets({
    vni: Vni(VNI.red),
    frame: decode(testFrame(undefined, broadcast), readFrame),
  });
  const reserved = Uint8Array.from(whole);
  reserved.set([0xff, 0xff, 0xff, 0xff], 0);
  reserved[7] = 0xff;
  const without = Uint8Array.from(whole);
  without[0] = 0; // no VNI is valid
  const cut = [0, 4, 7, 8, 14, 21]
    .map((n) => whole.subarray(0, n))
    .filter(({ length }) => length > 0);
  const hears = await heard();
  await lab.sendUdp("tor2", "10.0.1.11", VXLAN_PORT, ...cut, without);
  expect(await hears()).toEqual([]);
  const after = await heard();
  await lab.sendUdp("tor2", "10.0.1.11", VXLAN_PORT, reserved, whole);
  expect((await after()).every((name) => name.startsWith("red"))).toBe(true);
  expect(await lab.ping("red1", vm("red3").ip)).toBe(true);
});

/** Captures at all VMs. @returns how to end it: those that have seen a test's frame */
async function heard() {
  const all = await Promise.all(
    vms.map(async (name) => ({
      name,
      capture: await lab.capture(name, "eth0", "ether proto 0x88b5"),
    })),
  );
  return async () => {
    await lab.ping("red1", vm("red3").ip); // what was sent before has arrived when this has
    const seen = await Promise.all(
      all.map(async ({ name, capture }) => ((await capture.lines()).length > 0 ? [name] : [])),
    );
    return seen.flat();
  };
}
