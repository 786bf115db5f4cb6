import { noGuest } from "@nve/lab/vm/qemu";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { GuestRig } from "./dataplane-guest.ts";

const absent = noGuest();

describe.skipIf(absent)(`a guest with Debian's kernel${absent ? ` (${absent})` : ""}`, () => {
  let rig: GuestRig;
  beforeAll(async () => {
    rig = await GuestRig.make("userspace", 4);
  }, 180_000);
  afterAll(() => rig?.close());

  test("it has this machine's programs, and a bridge that filters VLANs", async () => {
    expect(await rig.run("uname", "-r")).toMatch(/-amd64\n$/);
    await rig.run("ip", ..."link add br0 type bridge vlan_filtering 1".split(" "));
    await rig.run("ip", ..."link set p1 master br0".split(" "));
    await rig.run("bridge", ..."vlan add dev p1 vid 77".split(" "));
    expect(await rig.run("bridge", "vlan", "show", "dev", "p1")).toContain("77");
    await rig.run("ip", "link", "del", "br0");
  });

  test("what fails in it fails here, in the same words", async () => {
    await expect(rig.run("ip", "link", "show", "nowhere")).rejects.toThrow(
      'Device "nowhere" does not exist',
    );
  });

  test("what it writes stays in it", async () => {
    await rig.run("touch", "/etc/written-in-a-guest");
    await rig.run("ls", "/etc/written-in-a-guest");
    await expect(
      import("node:fs/promises").then((fs) => fs.stat("/etc/written-in-a-guest")),
    ).rejects.toThrow("ENOENT");
  });
});
