import { Mac, VXLAN_PORT } from "@nve/protocol-spec";
import { expect, test } from "vitest";
import { startStream } from "../support/datagram-stream.ts";
import { testFrame, vxlanOf } from "../support/frames.ts";
import { until } from "../support/lab.ts";
import { useTwoRacks, VN, vm } from "../support/two-racks.ts";

// What goes to all, to a group of the underlay; and to MACs that nobody knows: both as the NVA says, at any time.
// The router of lab/two-racks becomes a switch with an address in each rack's subnet: it passes on groups, too.

const lab = useTwoRacks();
const GROUP = "239.7.0.1";

const update = (...words: string[]) => lab.run("nva", "nva", "vn", "update", "red", ...words);
const toAll = "10.0.1.255";

async function floods(how: string): Promise<void> {
  for (const tor of ["tor1", "tor2"]) {
    await until(`${tor} to have ${how}`, async () => {
      const vns = (await lab.show(tor, "switch-agent", "show", "vns")) as {
        vnId: number;
        flood: string;
      }[];
      return vns.find(({ vnId }) => vnId === VN.red)?.flood === how || undefined;
    });
  }
}

/** Sends until that is in force. */
async function goesTo(address: string): Promise<void> {
  await until(
    `a broadcast of red1 to go to ${address}`,
    async () => {
      const underlay = await lab.capture("tor1", "eth3", `udp port ${VXLAN_PORT}`);
      await lab.send("red1", "eth0", testFrame(undefined));
      await lab.ping("red1", vm("red3").ip);
      await underlay.lines();
      const sent = vxlanOf(underlay.path).filter(({ etherType }) => etherType === 0x88b5);
      return (sent.length === 1 && sent[0]?.to === address) || undefined;
    },
    20_000,
  );
}

test("A10: a VN floods to each NVE, or once to its group, as the NVA says, and a stream goes on meanwhile", async () => {
  await lab.run(
    "spine",
    ...["sh", "-ec"],
    "ip link add br0 type bridge; ip link set br0 mtu 1600 up; for e in eth1 eth2; do ip addr flush dev $e; ip link set $e master br0; done; ip addr add 10.0.1.1/24 dev br0; ip addr add 10.0.2.1/24 dev br0",
  );
  await lab.createVns();
  await lab.ready("srv1", "srv2", "srv3");
  for (const name of ["red1", "red2", "red3"]) await lab.attach(name);
  expect(await lab.ping("red1", vm("red3").ip)).toBe(true);
  await goesTo("10.0.2.12");
  const stream = await startStream(lab.name, "red1", { node: "red3", ip: toAll }, 200);
  await update("--group", GROUP, "--flood", "multicast");
  await floods(`group ${GROUP}`);
  await goesTo(GROUP);
  await update("--flood", "head-end");
  await floods("head-end");
  await goesTo("10.0.2.12");
  await update("--flood", "multicast"); // all are in the group
  await goesTo(GROUP);
  const { sent, received, twice } = await stream.end();
  expect({ received, twice }).toEqual({ received: sent, twice: 0 });
  expect(sent).toBeGreaterThan(200);
}, 120_000);

test("A10: an NVE that joins a VN later hears its group from then on; one that has left is out of it", async () => {
  const joined = async (tor: string) =>
    (await lab.run(tor, "ip", "maddr", "show", "dev", "eth3")).includes(GROUP);
  expect([await joined("tor1"), await joined("tor2")]).toEqual([true, true]);
  await lab.detach("red3");
  await until("tor2 to leave the group", async () => !(await joined("tor2")) || undefined, 20_000);
  await lab.attach("red3");
  await until("tor2 to be in it again", async () => (await joined("tor2")) || undefined, 20_000);
  const stream = await startStream(lab.name, "red1", { node: "red3", ip: toAll }, 200);
  await goesTo(GROUP);
  const { sent, received, twice } = await stream.end();
  expect({ received, twice }).toEqual({ received: sent, twice: 0 });
}, 90_000);

test("A10, A18: frames to MACs that nobody knows are flooded or dropped as the NVA says, and at any time another way", async () => {
  const stranger = testFrame(undefined, Mac("02:00:00:00:00:77"));
  const heard = async () => {
    const at = await lab.capture("red3", "eth0", "ether proto 0x88b5");
    await lab.send("red1", "eth0", stranger);
    await lab.ping("red1", vm("red3").ip);
    return (await at.lines()).length;
  };
  const becomes = (n: number) =>
    until(`${n} to be heard`, async () => (await heard()) === n || undefined, 15_000);
  expect(await heard()).toBe(0); // all MACs are known
  await update("--unknown", "flood");
  await becomes(1);
  await update("--unknown", "drop");
  await becomes(0);
  const before = await lab.dropped("tor1", "unknown-mac");
  expect(await heard()).toBe(0);
  await until("it to be counted", async () => {
    return (await lab.dropped("tor1", "unknown-mac")) > before || undefined;
  });
  await update("--unknown", "flood");
  await becomes(1);
  await update("--clear", "unknown");
  await becomes(0);
}, 90_000);
