import { afterEach, expect, test } from "vitest";
import { type Streamed, startStream } from "../support/datagram-stream.ts";
import { until } from "../support/lab.ts";
import { labPrograms } from "../support/programs.ts";
import { useTwoRacks, vm } from "../support/two-racks.ts";

// One lab for the file. Agents die without a word and come again.
const lab = useTwoRacks();
const programs = labPrograms(lab);
const streams = new Set<{ end(): Promise<Streamed> }>();
afterEach(async () => {
  for (const stream of streams) await stream.end();
  streams.clear();
});

/** 1,000 datagrams a second from one VM to another, while something happens. */
async function streamed(from: string, to: string, act: () => Promise<void>): Promise<Streamed> {
  const stream = await startStream(lab.name, from, { node: to, ip: vm(to).ip }, 1000);
  streams.add(stream);
  await act();
  streams.delete(stream);
  return stream.end();
}

const backAt = (tor: string, tags: number) =>
  until(
    `the VNICs of ${tor} to be back`,
    async () => (await lab.tags(tor)).length === tags || undefined,
    30_000,
  );

/** What an earlier run left and nobody wants is gone. */
const reconciled = (tor: string) =>
  until(
    `${tor} to be reconciled`,
    async () => {
      const status = (await lab.show(tor, "switch-agent", "status")) as {
        dataplaneState: string;
      };
      return status.dataplaneState === "in sync" || undefined;
    },
    30_000,
  );

test("a hypervisor-agent that was killed and started again attaches its VNICs at once, under their names of before", async () => {
  await lab.createVns();
  await lab.ready("srv1", "srv2", "srv3");
  const red1 = await lab.attach("red1");
  await lab.attach("red2");
  await lab.attach("red3");
  await programs.stop("srv1", "SIGKILL");
  await programs.start("srv1");
  const again = await lab.attach("red1", "--vnic", red1.vnic, "--timeout", "5");
  expect(again.state).toBe("associated");
  expect(again.vns[0]?.tag).toBe(red1.vns[0]?.tag); // its VSI was still there
  expect(await lab.ping("red1", vm("red2").ip)).toBe(true);
});

test.each([
  ["SIGKILL", "tor1", 2],
  ["SIGKILL", "tor2", 1],
  ["SIGTERM", "tor1", 2],
  ["SIGTERM", "tor2", 1],
] as const)(
  "hitless: %s to the switch-agent of %s and its next start lose no datagram between VMs, and change no tag",
  async (signal, tor, tags) => {
    const before = await lab.tags(tor);
    expect(await lab.ping("red1", vm("red3").ip)).toBe(true);
    const counted = await streamed("red1", "red3", async () => {
      await programs.stop(tor, signal);
      expect(await lab.ping("red3", vm("red1").ip, 10)).toBe(true);
      await programs.start(tor);
      await backAt(tor, tags);
      await reconciled(tor);
    });
    expect(counted).toMatchObject({ received: counted.sent, twice: 0 });
    expect(counted.sent).toBeGreaterThan(1000);
    expect(await lab.tags(tor)).toEqual(before);
    const mappings = await lab.mappings();
    const macs = ["red1", "red2", "red3"].map((name) => vm(name).mac);
    expect(mappings.map(({ mac }) => mac).sort()).toEqual(macs);
  },
);

test("cleanup is refused while the agent runs, and after it takes everything away, once", async () => {
  const refused = await lab.exec("tor2", "switch-agent", "cleanup");
  expect(refused).toMatchObject({ code: 1, stderr: expect.stringContaining("stop it first") });
  await programs.stop("tor2", "SIGKILL");
  expect(await lab.ping("red1", vm("red3").ip)).toBe(true);
  const removed = await lab.run("tor2", "switch-agent", "cleanup");
  expect(removed).toMatch(/pin fdb\n[\s\S]*interface nve-vxlan/);
  expect(await lab.ping("red1", vm("red3").ip, 1)).toBe(false);
  expect(await lab.run("tor2", "ip", "link", "show", "eth1")).not.toContain("PROMISC");
  expect(await lab.run("tor2", "switch-agent", "cleanup")).toBe("nothing was left\n");
  await programs.start("tor2");
  await backAt("tor2", 1);
  expect(await lab.ping("red1", vm("red3").ip, 20)).toBe(true);
});

test("stop --remove leaves nothing in the kernel, whatever the config says", async () => {
  await programs.end("tor2", "switch-agent", "stop", "--remove");
  expect(await lab.run("tor2", "ip", "-brief", "link")).not.toContain("nve-vxlan");
  expect(await lab.run("tor2", "switch-agent", "cleanup")).toBe("nothing was left\n");
  expect(await lab.ping("red1", vm("red3").ip, 1)).toBe(false);
});
