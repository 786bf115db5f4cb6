import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import { until } from "../support/lab.ts";
import { useTwoRacks, vm } from "../support/two-racks.ts";

// One lab for the file. The tests go in this order.
const lab = useTwoRacks();
const folder = mkdtempSync(join(tmpdir(), "nva-apply-"));
afterAll(() => rmSync(folder, { recursive: true }));
const file = join(folder, "domain.yaml");

const nva = (...words: string[]) => lab.exec("nva", "nva", ...words);
/** Applies a text as a domain file. */
function apply(text: string, ...flags: string[]) {
  writeFileSync(file, text);
  return nva("apply", "-f", file, ...flags);
}

const red = `
  acme/red: { id: 10001, vni: 70001, mtu: 1400 }`;
const blue = `
  acme/blue: { id: 10002, vni: 70002 }`;
const domain = `tenants: { acme: { maxVns: 2 } }
vns:${red}${blue}
`;
const red1 = vm("red1");

beforeAll(() => lab.ready("srv1", "srv2", "srv3", "srv4"));

test("A13, P1: a domain file makes VNs on demand: before it VMs are refused, after it they talk", async () => {
  const { code, stderr } = await lab.tryAttach("red1");
  expect(code).toBe(1);
  expect(stderr).toContain("10001");
  const shown = await apply(domain, "--dry-run", "--detailed-exitcode");
  expect(shown.code).toBe(2);
  expect(shown.stdout).toContain("+ vn acme/red\n    id: 10001\n    vni: 70001\n");
  expect(shown.stdout).toContain("3 created, 0 changed, 0 deleted, 0 unchanged");
  expect((await nva("vn", "list")).stdout).toContain("no VN yet");
  const done = await apply(domain, "--yes");
  expect(done.stdout).toMatch(/\ndone at revision \d+\n$/);
  for (const one of ["red1", "red3", "blue1"]) await lab.attach(one);
  expect(await lab.ping("red1", vm("red3").ip, 20)).toBe(true);
});

test("A13: at a terminal `nva apply` asks, and only a yes is one", async () => {
  writeFileSync(file, "tenants: { asked: {} }\n");
  const answered = (answer: string) =>
    lab.exec("nva", "sh", "-c", `echo ${answer} | script -qec "nva apply -f ${file}" /dev/null`);
  const no = await answered("n");
  expect(no.code).toBe(1);
  expect(no.stdout).toMatch(/Make it so\? \[y\/N\].*nothing was done/s);
  const names = async () =>
    ((await lab.show("nva", "nva", "tenant", "list")) as { name: string }[]).map(
      ({ name }) => name,
    );
  expect(await names()).toEqual(["acme", "default"]);
  const yes = await answered("y");
  expect(yes).toMatchObject({ code: 0, stdout: expect.stringMatching(/done at revision/) });
  expect(await names()).toEqual(["acme", "asked", "default"]);
  await lab.run("nva", "nva", "tenant", "delete", "asked");
});

test("A13, P1: what is exported with VMs attached differs in nothing from what there is", async () => {
  const { stdout } = await nva("export");
  expect(stdout).toContain("acme/red:");
  const again = await apply(stdout, "--prune", "--dry-run", "--detailed-exitcode");
  expect(again).toMatchObject({
    code: 0,
    stdout: expect.stringMatching(/^0 created, 0 changed, 0/),
  });
});

test("A13, P1: an address bound by a domain file is known at every switch with members, and gone with the file", async () => {
  const binding =
    "bindings: [{ vn: acme/red, mac: 02:00:00:00:00:77, ips: [10.0.1.77], nve: tor2 }]";
  expect((await apply(`${domain}${binding}\n`, "--yes")).stderr).toBe("");
  const at = async () =>
    (await lab.fdb("tor1")).find(({ mac, vnId }) => mac === "02:00:00:00:00:77" && vnId === 10001);
  const entry = await until("the bound address at tor1", at);
  expect(entry).toMatchObject({ where: "remote", nveId: "tor2", ips: ["10.0.1.77"] });
  await apply(domain, "--yes", "--prune");
  await until("its end", async () => ((await at()) === undefined ? true : undefined));
});

test("A13, P1: a VN in use is pruned by force alone, which lets its VMs go and leaves the others", async () => {
  const without = `tenants: { acme: { maxVns: 2 } }\nvns:${blue}\n`;
  const kept = await apply(without, "--yes", "--prune");
  expect(kept.code).toBe(1);
  expect(kept.stderr).toMatch(/tor1.*tor2/);
  expect(await lab.ping("red1", vm("red3").ip)).toBe(true);
  const forced = await apply(without, "--yes", "--prune", "--force");
  expect(forced.stdout).toContain("- vn acme/red\n");
  await until("red1 to be let go of", async () => {
    const { state } = await lab.vnicOf(red1);
    return state === "associated" ? undefined : state;
  });
  expect(await lab.ping("red1", vm("red3").ip, 1)).toBe(false);
  expect(await lab.vnicOf("blue1")).toMatchObject({ state: "associated" });
  const { stdout } = await nva("events", "--object", "acme/", "--json");
  expect(JSON.parse(stdout)).toContainEqual(
    expect.objectContaining({ action: "vn.delete", object: "acme/red", refused: false }),
  );
});
