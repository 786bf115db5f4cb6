import { noGuest } from "@nve/lab/vm/qemu";
import { createLog, Refused } from "@nve/program";
import { openBridgeDataplane } from "@nve/switch-agent/dataplane/bridge/driver";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { dataplaneContract } from "../contracts/dataplane.ts";
import type { Part } from "../contracts/dataplane-bench.ts";
import { GuestRig } from "./dataplane-guest.ts";
import { BridgeRig } from "./dataplane-rig.ts";

/** As docs/dataplane.md says. */
const without: readonly Part[] = [
  ...(["CE outside", "encapsulations", "flood counters", "flood limits"] as const),
  ...(["flood lists replaced at once", "gleaning", "in flight", "IPs of sources"] as const),
  ...([
    "meters",
    "neighbours",
    "places without an access",
    "profiles",
    "pull",
    "suspended",
    "too big",
  ] as const),
  "UDP checksums without a NIC",
];

const absent = noGuest();
if (absent !== undefined) {
  describe.skip(`bridge dataplane in a guest: ${absent}`, () => {
    test("the contract", () => {});
  });
} else {
  // before the tests, whose time is bounded
  const families = [4, 6] as const;
  const rigs = await Promise.all(families.map((family) => GuestRig.make("bridge", family)));
  for (const [at, rig] of rigs.entries()) {
    const name = `bridge dataplane on Debian's kernel, IPv${families[at]} underlay`;
    dataplaneContract(at === 0 ? name : `M1: ${name}`, async () => rig, without);
  }
}

describe("bridge dataplane on this kernel", () => {
  let rig: BridgeRig;
  beforeAll(() => {
    rig = new BridgeRig(4);
  });
  afterAll(() => rig?.close());

  test("what the kernel lacks is named at the start, and nothing is left", async () => {
    const log = createLog("test", "error");
    const opening = openBridgeDataplane({ vtep: rig.vtep, log });
    const error = await opening.then(
      async (dataplane) => dataplane.close(),
      (cause: unknown) => cause,
    );
    if (error !== undefined) {
      expect(error).toBeInstanceOf(Refused);
      expect(String(error)).toMatch(/this kernel('s bridge)? (has no|does not)/);
    }
    expect(rig.tor.run("ip", "-brief", "link")).not.toContain("nve");
  });

  test("an interface of the bridge's name that is none is left alone", async () => {
    rig.tor.ip("link add nve-bridge type veth peer name other");
    const opening = openBridgeDataplane({ vtep: rig.vtep, log: createLog("test", "error") });
    await expect(opening).rejects.toThrow("nve-bridge is there already and is no bridge");
    rig.tor.ip("link del nve-bridge");
  });
});
