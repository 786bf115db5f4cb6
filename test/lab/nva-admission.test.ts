import { expect, test } from "vitest";
import { until } from "../support/lab.ts";
import { useTwoRacks, VN, vm } from "../support/two-racks.ts";

// One lab for the file. Who may attach is the NVA's to say, to real VMs; the tests go in this order.
const lab = useTwoRacks();
const nva = (...words: string[]) => lab.run("nva", "nva", ...words);
const first = "00000000-0000-4000-8000-00000000ad01";
const second = "00000000-0000-4000-8000-00000000ad02";
const third = "00000000-0000-4000-8000-00000000ad03";

type EventRow = { actor: string; action: string; object: string; reason: string; refused: boolean };
const events = async (action: string, object = "") =>
  (await lab.show("nva", "nva", "events", "--action", action, "--object", object)) as EventRow[];

/** What the server shows of a VM that it does not have in its VN any more: its state and why. */
const reasonAt = (name: string, words: string) =>
  until(`${name} to be told "${words}"`, async () => {
    const { state, reason } = await lab.vnicOf(name);
    return state !== "associated" && reason.includes(words) ? reason : undefined;
  });
/** A VM that was disconnected, attached anew. */
async function again(name: string, vnic: string): Promise<void> {
  await lab.detach(name);
  await lab.attach(name, "--vnic", vnic);
}
const untilSilent = (from: string, to: string) =>
  until(`nothing of ${from} to reach ${to}`, async () => {
    const heard = await lab.ping(from, vm(to).ip, 1);
    return heard ? undefined : true;
  });
const tagsOf = async (tor: string, vn: number) =>
  (await lab.tags(tor)).filter((tag) => tag.vn === vn);

test("H26: a VN for registered VNICs refuses others in words that the server shows, and takes them once they are registered", async () => {
  await lab.createVns();
  await lab.ready("srv1", "srv2", "srv3");
  await nva("vn", "update", "red", "--admission", "registered");
  const refused = await lab.tryAttach("red1", "--vnic", first);
  expect(refused.code).toBe(1);
  expect(refused.stderr).toContain(`VNIC ${first} is not registered`);
  expect(await tagsOf("tor1", VN.red)).toEqual([]);
  expect(await events("vnic.refuse", first)).toMatchObject([
    { actor: "nve:tor1", refused: true, reason: expect.stringContaining("is not registered") },
  ]);
  for (const [vnic, name] of [
    [first, "red1"],
    [second, "red2"],
    [third, "red3"],
  ] as const) {
    await nva("vnic", "create", vnic, "--vn", "default/red");
    await lab.attach(name, "--vnic", vnic);
  }
  expect(await lab.ping("red1", vm("red3").ip)).toBe(true);
  expect(await events("vnic.attach", first)).toMatchObject([{ actor: "nve:tor1" }]);
});

test("A19: when a VN becomes strict, who has not registered its addresses is disconnected, with the reason; who has stays", async () => {
  for (const [vnic, name] of [
    [second, "red2"],
    [third, "red3"],
  ] as const)
    await nva("vnic", "update", vnic, "--vn", `default/red=${vm(name).mac},${vm(name).ip}`);
  expect(await lab.ping("red2", vm("red1").ip)).toBe(true);
  await nva("vn", "update", "red", "--admission", "strict");
  expect(await reasonAt("red1", "is not registered")).toContain(vm("red1").mac);
  await untilSilent("red2", "red1");
  await untilSilent("red1", "red2");
  expect(await lab.ping("red2", vm("red3").ip)).toBe(true);
  expect((await lab.mappings()).map(({ mac }) => mac).sort()).toEqual(
    [vm("red2").mac, vm("red3").mac].sort(),
  );
  expect(await events("vnic.disconnect")).toMatchObject([{ actor: "nva", object: first }]);
  await nva("vnic", "update", first, "--vn", `default/red=${vm("red1").mac},${vm("red1").ip}`);
  await again("red1", first);
  expect(await lab.ping("red1", vm("red3").ip)).toBe(true);
});

test("H26: a policy against a port disconnects who is behind it, and its traffic stops; without the policy it may attach again", async () => {
  const policy = ["policy", "create", "no-srv2", "--action", "deny", "--nves", "tor1"];
  await nva(...policy, "--ports", "eth2");
  const reason = await reasonAt("red2", 'policy "no-srv2" keeps VNIC');
  expect(reason).toContain(second);
  await untilSilent("red2", "red3");
  await untilSilent("red3", "red2");
  expect(await lab.ping("red1", vm("red3").ip)).toBe(true);
  expect((await lab.tags("tor1")).map(({ port }) => port)).toEqual(["eth1"]);
  await nva("policy", "delete", "no-srv2");
  await again("red2", second);
  expect(await lab.ping("red2", vm("red3").ip)).toBe(true);
});

test("A19: a VNIC whose registration is deleted goes at once", async () => {
  await nva("vnic", "delete", third, "--force");
  await reasonAt("red3", `VNIC ${third} is not registered`);
  await untilSilent("red1", "red3");
  expect(await tagsOf("tor2", VN.red)).toEqual([]);
});

test("A19: two servers that take an address from each other are found out: it stays where it was, until somebody clears it", async () => {
  const mac = "02:00:00:00:00:dd";
  const [one, other] = [
    "00000000-0000-4000-8000-00000000ad04",
    "00000000-0000-4000-8000-00000000ad05",
  ];
  const frozen = ["--duplicates", "freeze", "--duplicate-moves", "3", "--freeze-for", "1h"];
  await nva("vn", "update", "blue", ...frozen);
  const where = async () =>
    (await lab.mappings())
      .filter((row) => row.mac === mac)
      .flatMap(({ locations }) => locations.map((one) => one.nve));
  const take = (name: string, vnic: string) => lab.attach(name, "--mac", mac, "--vnic", vnic);
  const isAt = (tor: string) =>
    until(`the address to be at ${tor}`, async () => (await where())[0] === tor || undefined);
  await take("blue1", one);
  await isAt("tor1");
  await take("blue3", other);
  await isAt("tor2");
  await lab.detach("blue1");
  await take("blue1", one);
  await isAt("tor1");
  await lab.detach("blue3");
  await take("blue3", other);
  const [duplicate] = await until("the duplicate to be found", async () => {
    const all = (await lab.show("nva", "nva", "duplicates", "list")) as object[];
    return all.length > 0 ? all : undefined;
  });
  expect(duplicate).toMatchObject({ mac, frozen: true, moves: 3 });
  expect(await where()).toEqual(["tor1"]);
  expect(await events("duplicate.")).toMatchObject([
    { actor: "nva", action: "duplicate.found", object: `default/blue/${mac}` },
  ]);
  await lab.detach("blue3");
  await take("blue3", other);
  expect(await where()).toEqual(["tor1"]);
  await nva("duplicates", "clear", "blue", mac);
  await isAt("tor2");
  expect(await lab.show("nva", "nva", "duplicates", "list")).toEqual([]);
  expect(await events("duplicate.cleared")).toMatchObject([{ actor: "local" }]);
});
