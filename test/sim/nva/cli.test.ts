import { nvaProgram } from "@nve/nva/cli/main";
import { realOutside } from "@nve/nva/cli/outside";
import { Refused, Usage } from "@nve/program";
import { CommanderError } from "commander";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { claim, ip, type Rig, rig } from "./rig.ts";

let nva: Rig;
beforeEach(async () => {
  nva = await rig();
});
afterEach(() => nva.stop());

/** The lines that `nva …` prints. */
async function lines(...argv: string[]): Promise<string[]> {
  const printed: string[] = [];
  const program = nvaProgram({ ...realOutside, print: (line) => printed.push(line) });
  for (const command of [
    program,
    ...program.commands,
    ...program.commands.flatMap((c) => c.commands),
  ])
    command
      .exitOverride()
      .configureOutput({ writeErr: () => {}, writeOut: (s) => printed.push(s) });
  await program.parseAsync([
    "node",
    "nva",
    ...argv,
    ...(argv.includes("--help") ? [] : ["--address", nva.address]),
  ]);
  return printed;
}
const json = async (...argv: string[]) => JSON.parse((await lines(...argv, "--json")).join("\n"));

describe("nva vn", () => {
  test("P1: creates with what is asked for, or what is free", async () => {
    expect(await json("vn", "create", "blue")).toMatchObject({
      alias: "blue",
      vnId: 1,
      vni: 10_001,
      tenant: "default",
    });
    const name = "12345678-1234-4234-8234-123456789abc";
    const more = ["--id", "200", "--vni", "0", "--name", name, "--tenant", "t", "--mtu", "1450"];
    expect(await json("vn", "create", "red", ...more)).toEqual({
      alias: "red",
      vnId: 200,
      vni: 0,
      name,
      tenant: "t",
      service: "l2",
      mtu: 1450,
      flood: "head-end",
      revision: 2,
    });
    expect(await lines("vn", "list")).toEqual([
      expect.stringMatching(/^ALIAS +VN ID +VNI +TENANT +MTU +NAME$/),
      expect.stringMatching(/^blue +1 +10001 +default +- +[0-9a-f-]{36}$/),
      expect.stringMatching(/^red +200 +0 +t +1450 +12345678-1234-4234-8234-123456789abc$/),
    ]);
  });

  test("shows and deletes by VN ID, alias, tenant/alias or UUID", async () => {
    const { name } = await json("vn", "create", "blue", "--tenant", "t");
    for (const ref of ["1", "blue", "t/blue", name, name.toUpperCase()])
      expect(await json("vn", "show", ref)).toMatchObject({ vnId: 1 });
    expect(await json("vn", "delete", "blue")).toMatchObject({ deleted: "blue" });
    await expect(lines("vn", "show", "blue")).rejects.toThrow(
      /no VN with the alias "blue": `nva vn list`/,
    );
  });

  test("an alias of two tenants has to be told apart", async () => {
    await lines("vn", "create", "blue", "--tenant", "a");
    await lines("vn", "create", "blue", "--tenant", "b");
    await expect(lines("vn", "show", "blue")).rejects.toThrow(
      /several tenants.*write tenant\/blue/,
    );
    expect(await json("vn", "show", "b/blue")).toMatchObject({ vnId: 2 });
  });

  test("lists more than a page", async () => {
    const { northbound } = nva;
    await Promise.all(
      Array.from(
        { length: 1001 },
        (_, i) =>
          new Promise<void>((resolve, reject) => {
            const request = {
              alias: `vn${i}`,
              tenant: "",
              name: Buffer.alloc(0),
              vnId: 0,
              vni: undefined,
              mtu: 0,
            };
            northbound.createVn(request, (error) => (error ? reject(error) : resolve()));
          }),
      ),
    );
    expect(await json("vn", "list")).toHaveLength(1001);
  }, 30_000);

  test("a VN in use is kept, with its users named, unless forced", async () => {
    await lines("vn", "create", "blue");
    await (await nva.nve("tor1", "10.0.0.1")).told({ joinedVns: [1], claims: [claim(1)] });
    await expect(lines("vn", "delete", "blue")).rejects.toThrow(/in use by tor1/);
    await lines("vn", "delete", "blue", "--force");
    expect(await lines("claim", "list")).toEqual(["no claims"]);
  });
});

test("nva nve, mapping, claim, lookup and status show what there is", async () => {
  expect(await lines("nve", "list")).toEqual(["no NVE has connected"]);
  await lines("vn", "create", "blue");
  const ips = [ip("192.168.0.1"), ip("fd00::1")];
  const [tor1, tor2] = [await nva.nve("tor1", "10.0.0.1"), await nva.nve("tor2", "10.0.0.2")];
  await tor1.told({ joinedVns: [1], claims: [claim(1, { ips, port: "eth1", sticky: true })] });
  await tor2.told({ joinedVns: [1], claims: [claim(1), claim(2)] });
  expect((await lines("nve", "list"))[1]).toMatch(/^tor1 +connected +\S+ +10\.0\.0\.1 +1 +1 +0$/);
  const mapping = /^1 +02:00:00:00:00:01 +192\.168\.0\.1,fd00::1 +tor1 +10\.0\.0\.1 +1 +sticky$/;
  expect((await lines("mapping", "list"))[1]).toMatch(mapping);
  expect(await json("mapping", "list", "--vn", "blue")).toHaveLength(2);
  expect(await json("claim", "list", "--vn", "1")).toMatchObject([
    { mac: "02:00:00:00:00:01", source: "nve:tor1", best: true, port: "eth1" },
    { mac: "02:00:00:00:00:01", source: "nve:tor2", best: false },
    { mac: "02:00:00:00:00:02", source: "nve:tor2", best: true },
  ]);
  for (const address of ["192.168.0.1", "FD00::1", "02-00-00-00-00-01"])
    expect(await json("lookup", "blue", address)).toMatchObject({ locations: [{ nve: "tor1" }] });
  const prefixes = [{ ip: ip("10.9.8.0"), length: 24 }];
  await tor2.told({ claims: [claim(2, { ips: [], prefixes })] });
  expect(await json("lookup", "blue", "10.9.8.7")).toMatchObject({ ips: ["10.9.8.0/24"] });
  await expect(lines("lookup", "blue", "10.9.9.9")).rejects.toThrow(/no such address in VN blue/);
  expect(await json("status")).toMatchObject({
    store: "memory",
    vns: 1,
    nvesConnected: 2,
    nvesStale: 0,
    claims: 3,
  });
});

describe("what is written wrongly is a usage error, before anybody is asked", () => {
  test.each([
    [["vn", "create"], /missing required argument 'alias'/],
    [["vn", "create", "a", "--id", "0"], /VN ID 0 is not in/],
    [["vn", "create", "a", "--vni", "16777216"], /VNI 16777216 is not in/],
    [["vn", "create", "a", "--name", "x"], /not a UUID/],
    [["vn", "create", "a", "--mtu", "12"], /MTU 12 is not in 68/],
    [["lookup", "1", "zz"], /neither a MAC nor an IP/],
    [["vn", "lsit"], /unknown command/],
    [["run"], /required option '--config/],
  ])("nva %j", async (argv, reason) => {
    const error: unknown = await lines(...argv).catch((thrown: unknown) => thrown);
    expect(error).toBeInstanceOf(CommanderError);
    expect(String(error)).toMatch(reason);
  });

  test("what the NVA refuses is no usage error", async () => {
    await expect(lines("vn", "create", "a", "--profile", "none")).rejects.toThrow(Refused);
  });

  test("a VN that none can be is one, said shortly", async () => {
    await expect(lines("vn", "show", "99999999999")).rejects.toThrow(
      new Usage("VN ID 99999999999 is not in 1..16777215"),
    );
    await expect(lines("lookup", "a".repeat(100_000), "::1")).rejects.toThrow(
      new Usage("no VN is called by 100000 characters"),
    );
  });
});

test("help shows examples", async () => {
  for (const argv of [
    [],
    ["run"],
    ["vn"],
    ["nve"],
    ["mapping"],
    ["claim"],
    ["lookup"],
    ["status"],
  ]) {
    const program = nvaProgram();
    const command =
      argv[0] === undefined ? program : program.commands.find((c) => c.name() === argv[0]);
    let text = "";
    command?.exitOverride().configureOutput({
      writeOut: (more) => {
        text += more;
      },
    });
    command?.outputHelp();
    expect(text, argv.join()).toMatch(/Examples?:\n {2}nva/);
  }
});
