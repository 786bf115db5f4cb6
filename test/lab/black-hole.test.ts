import { expect, test } from "vitest";
import { until } from "../support/lab.ts";
import { useTwoRacks, vm } from "../support/two-racks.ts";

// A link between tor1 and the router lets nothing through that is longer than 1500 octets, and tells nobody.

const lab = useTwoRacks();

type PeerRow = { vtep: string; nves: string[]; need: number; pathMtu: number; state: string };

const peer = async (): Promise<PeerRow | undefined> =>
  ((await lab.show("tor1", "switch-agent", "show", "peers")) as PeerRow[])[0];
const warnings = async () =>
  ((await lab.show("tor1", "switch-agent", "status")) as { warnings: string[] }).warnings;
const becomes = (state: string) =>
  until(
    `the way to be found ${state}`,
    async () => {
      const found = await peer();
      return found?.state === state ? found : undefined;
    },
    60_000,
  );

test("A10: a black hole on the way to another NVE is found to the octet, and said in show, in status and in the log", async () => {
  await lab.run("spine", "ip", "link", "set", "eth1", "mtu", "1496"); // and 4 octets for a tag
  await lab.createVns();
  await lab.ready("srv1", "srv3");
  for (const name of ["red1", "red3"]) await lab.attach(name);
  const found = await becomes("black-hole");
  expect(found).toMatchObject({ vtep: "10.0.2.12", nves: ["tor2"], need: 1600, pathMtu: 1500 });
  const [warning, ...more] = await warnings();
  expect(more).toEqual([]);
  expect(warning).toMatch(/tor2 10\.0\.2\.12 arrive up to 1500 octets, and its VNs send 1600/);
  expect(await lab.ping("red1", vm("red3").ip)).toBe(true); // what is short gets there
}, 120_000);

test("A10: VNs that are told a lower MTU have no black hole any more, and with the link mended none has", async () => {
  for (const name of ["red", "blue"]) {
    await lab.run("nva", "nva", "vn", "update", name, "--mtu", "1450");
  }
  expect(await becomes("ok")).toMatchObject({ need: 1500, pathMtu: 1500 });
  expect(await warnings()).toEqual([]);
  for (const name of ["red", "blue"]) {
    await lab.run("nva", "nva", "vn", "update", name, "--clear", "mtu");
  }
  expect(await becomes("black-hole")).toMatchObject({ need: 1600, pathMtu: 1500 });
  await lab.run("spine", "ip", "link", "set", "eth1", "mtu", "1600");
  expect(await becomes("ok")).toMatchObject({ need: 1600, pathMtu: 1600 });
  expect(await warnings()).toEqual([]);
}, 180_000);
