import { expect, test } from "vitest";
import { until } from "../support/lab.ts";
import { useTwoRacks, VN, VNI, vm } from "../support/two-racks.ts";

// One lab for the file; the tests build on each other, in this order.
const lab = useTwoRacks();
const nva = (...words: string[]) => lab.run("nva", "nva", ...words);
const tryNva = (...words: string[]) => lab.exec("nva", "nva", ...words);
const printer = "02:00:00:00:00:99";

/** What `tor` forwards to of an address, or undefined. */
const remoteAt = (tor: string, mac: string) =>
  until(`${tor} to hear of ${mac}`, async () => {
    const row = (await lab.fdb(tor)).find((one) => one.mac === mac && one.where === "remote");
    return row?.applied ? row : undefined;
  });

test("P1: of two clients that create the same at once exactly one wins, and the other is told by whom", async () => {
  const pairs: [string[], string[]][] = [
    [["shop"], ["shop"]],
    [
      ["one", "--vni", "9000"],
      ["two", "--vni", "9000"],
    ],
    [
      ["three", "--id", "9001"],
      ["four", "--id", "9001"],
    ],
  ];
  for (const pair of pairs) {
    const both = await Promise.all(pair.map((words) => tryNva("vn", "create", ...words)));
    expect(both.map(({ code }) => code).sort()).toEqual([0, 1]);
    expect(both.map(({ stderr }) => stderr).join("")).toMatch(/already/);
  }
  const vns = (await lab.show("nva", "nva", "vn", "list")) as { vnId: number; vni: number }[];
  expect([vns.length, new Set(vns.map(({ vni }) => vni)).size]).toEqual([3, 3]);
});

test("A13: what orchestration declares reaches the NVEs: a VN with its profile, a binding to an NVE", async () => {
  await lab.createVns();
  await lab.ready("srv1", "srv3");
  await nva("profile", "create", "gold", "--dscp", "46");
  await nva("vn", "update", "red", "--profile", "gold", "--mtu", "1400");
  await lab.attach("red1");
  await lab.attach("red3");
  await nva("binding", "create", "red", printer, "--ips", "10.0.1.99", "--nve", "tor2");
  expect(await remoteAt("tor1", printer)).toMatchObject({
    vni: VNI.red,
    nveId: "tor2",
    ips: ["10.0.1.99"],
  });
  await nva("binding", "delete", "red", printer);
  await until(
    "tor1 to forget it",
    async () => (await lab.fdb("tor1")).every(({ mac }) => mac !== printer) || undefined,
  );
});

test("P1: a VN is changed while it is in use: its NVEs are told, and nothing that is attached goes", async () => {
  await nva("vn", "update", "red", "--alias", "crimson");
  await until(
    "tor1 to hear of the new alias",
    async () =>
      (await lab.tags("tor1")).some((tag) => "alias" in tag && tag.alias === "crimson") ||
      undefined,
  );
  expect(await lab.ping("red1", vm("red3").ip)).toBe(true);
});

test("P1: a VN in use is not deleted, and who uses it is named; what it refers to stays as well", async () => {
  const refused = await tryNva("vn", "delete", "crimson");
  expect([refused.code, refused.stderr]).toEqual([
    1,
    expect.stringContaining("in use by tor1, tor2"),
  ]);
  const profile = await tryNva("profile", "delete", "gold");
  expect([profile.code, profile.stderr]).toEqual([
    1,
    expect.stringContaining("VN default/crimson"),
  ]);
  expect(await lab.ping("red1", vm("red3").ip)).toBe(true);
});

test("P1, H26: by force it goes, and its VMs are disconnected, with the reason", async () => {
  await nva("vn", "delete", "crimson", "--force");
  for (const name of ["red1", "red3"])
    await until(`${name} to be told`, async () => {
      const { state, reason } = await lab.vnicOf(name);
      return state !== "associated" && reason !== "" ? reason : undefined;
    });
  expect(await lab.ping("red1", vm("red3").ip, 2)).toBe(false);
  for (const tor of ["tor1", "tor2"]) {
    expect((await lab.fdb(tor)).filter(({ vnId }) => vnId === VN.red)).toEqual([]);
    expect((await lab.tags(tor)).filter(({ vn }) => vn === VN.red)).toEqual([]);
  }
  expect(await lab.mappings()).toEqual([]);
});
