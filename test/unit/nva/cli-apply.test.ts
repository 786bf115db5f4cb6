import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { Outside } from "@nve/nva/cli/outside";
import { domainYaml, parseDomain } from "@nve/nva/domain/file";
import { Tenant } from "@nve/protocol-spec/proto/northbound";
import fc from "fast-check";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { type Rig, rig } from "../../sim/nva/rig.ts";
import { domains } from "../../support/domains.ts";
import { type FakeNorthbound, fakeNorthbound } from "../../support/fake-northbound.ts";
import { runNva } from "../../support/nva-cli.ts";

const page = readFileSync(join(import.meta.dirname, "../../../docs/nva-domain.md"), "utf8");
const example = /```yaml\n(.*?)```/s.exec(page)?.[1] ?? "";

/** `nva apply -f -` of a text, and other commands, against one NVA. */
const against = (address: () => string, more: Partial<Outside> = {}) => ({
  run: (...argv: string[]) => runNva(address(), argv, more),
  apply: (text: string, ...flags: string[]) =>
    runNva(address(), ["apply", "-f", "-", ...flags], { ...more, read: async () => text }),
  json: async (...argv: string[]) =>
    JSON.parse((await runNva(address(), [...argv, "--json"], more)).text),
});

describe("A13, P1: an NVA", () => {
  let nva: Rig;
  beforeEach(async () => {
    nva = await rig();
  });
  afterEach(() => nva.stop());
  const { run, apply, json } = against(() => nva.address);

  test("is as the documented example says after it is applied, and applied again it changes nothing", async () => {
    const first = await apply(example, "--yes");
    expect(first.errors).toBe("");
    expect(first.lines).toContain(
      '    (no NVE "tor1" has connected yet: it counts as soon as one does)',
    );
    // VNs that are not there yet are called as in the file.
    expect(first.lines).toContain("+ binding acme/blue/02:00:00:00:00:fe");
    expect(first.lines).toContain("    vns.acme/blue.02:00:00:00:00:0a: 10.0.0.10, fd00::a");
    expect(first.lines.at(-2)).toBe("8 created, 0 changed, 0 deleted, 0 unchanged");
    expect(first.lines.at(-1)).toMatch(/^done at revision \d+$/);
    expect((await apply(example, "--yes")).lines).toEqual([
      "0 created, 0 changed, 0 deleted, 8 unchanged",
    ]);
    expect(await json("vn", "show", "acme/blue")).toMatchObject({
      vnId: 5001,
      vni: 10_001,
      mtu: 1450,
      admission: "registered",
      profile: "web",
      duplicates: { moves: 5, window: "3min", action: "freeze", for: "10min" },
    });
    expect((await run("vn", "show", "acme/blue")).lines).toContain(
      "duplicates: { moves: 5, window: 3min, action: freeze, for: 10min }",
    );
    expect(await json("vn", "show", "mgmt")).toMatchObject({
      description: "consoles of the servers",
    });
    expect(await json("policy", "list")).toMatchObject([
      { name: "console", order: 10, action: "allow", authenticated: true },
      { name: "no-mgmt", order: 20, action: "deny" },
    ]);
    expect(await json("binding", "list")).toMatchObject([{ vn: "acme/blue", nve: "tor1" }]);
  });

  test("takes its own export, as YAML and as JSON, without a difference", async () => {
    await apply(example, "--yes");
    for (const flags of [[], ["--json"]]) {
      const { text, lines } = await run("export", ...flags);
      expect(text).not.toContain("#");
      const again = await apply(text, "--prune", "--dry-run", "--detailed-exitcode");
      expect(again.lines).toEqual([expect.stringMatching(/^0 created, 0 changed, 0 deleted, \d+/)]);
      expect(again.exitCode).toBe(0);
      expect((await run("export", ...flags)).lines).toEqual(lines);
    }
  });

  test("shows what differs, field by field, and a dry run changes nothing", async () => {
    await apply(example, "--yes");
    const other = example
      .replace("mtu: 1450", "mtu: 1400")
      .replace("    admission: registered\n", "")
      .replace("destinationPorts: 25 }", "destinationPorts: 25-26 }")
      .replace("[10.0.0.10, fd00::a]", "[10.0.0.10]")
      .replace(/\nbindings:[\s\S]*/, "\n")
      .replace("acme/mgmt: { description", "acme/red: {}\n  acme/mgmt: { description");
    const { lines, exitCode } = await apply(other, "--prune", "--dry-run", "--detailed-exitcode");
    expect(exitCode).toBe(2);
    const name = expect.stringMatching(/^ {4}name: [0-9a-f-]{36}$/);
    expect(lines).toEqual([
      "- binding acme/blue/02:00:00:00:00:fe",
      "~ profile web",
      "    acl: - { deny: from-vnic, protocol: tcp, destinationPorts: 25 }",
      "    acl: + { deny: from-vnic, protocol: tcp, destinationPorts: 25-26 }",
      "~ vn acme/blue",
      "    mtu: 1450 -> 1400",
      "    admission: registered -> open",
      "+ vn acme/red",
      "    id: 2",
      "    vni: 10003",
      name,
      "    service: l2",
      "    flood: head-end",
      "    admission: open",
      "~ vnic 2b9f1c1e-7f5e-4c7a-9a54-1f0d6c1f2a01",
      "    vns.acme/blue.02:00:00:00:00:0a: 10.0.0.10, fd00::a -> 10.0.0.10",
      "1 created, 3 changed, 1 deleted, 4 unchanged",
    ]);
    expect((await apply(example, "--yes")).lines).toEqual([
      "0 created, 0 changed, 0 deleted, 8 unchanged",
    ]);
  });

  test("gives new VNs the numbers and the name that were shown", async () => {
    const shown = JSON.parse((await apply("vns: { blue: {} }", "--yes", "--json")).text);
    expect(shown).toMatchObject({ applied: true, changes: [{ kind: "vn", action: "create" }] });
    const { id, vni, name } = shown.changes[0].after;
    expect(await json("vn", "show", "blue")).toMatchObject({ vnId: id, vni, name });
  });

  test("tells what it cannot do at once, at the place in the file, and does nothing", async () => {
    const text =
      "vns:\n  acme/a: { profile: web, vni: 7 }\n  acme/b: { vni: 7 }\ntenants: { t: {} }\n";
    const { errors, exitCode } = await apply(text, "--yes");
    expect(exitCode).toBe(1);
    expect(errors.split("\n").slice(0, 2)).toEqual([
      "error: standard input:",
      expect.stringMatching(/^ {2}line 2, column 11: VN "acme\/a": .*web/),
    ]);
    expect(await json("tenant", "list")).toMatchObject([{ name: "default" }]);
  });

  test("deletes what is not in the file with --prune only, and VNs with members by force only", async () => {
    await apply("vns: { blue: { id: 1 }, red: {} }", "--yes");
    await (await nva.nve("tor1", "10.0.0.1")).told({ joinedVns: [1] });
    expect((await apply("{}", "--yes")).text).toMatch(/^0 created, 0 changed, 0 deleted/);
    const kept = await apply("{}", "--yes", "--prune");
    expect(kept).toMatchObject({ exitCode: 1, errors: expect.stringContaining("tor1") });
    expect(await json("vn", "list")).toHaveLength(2);
    const { lines } = await apply("{}", "--yes", "--prune", "--force");
    expect(lines).toContain("- vn default/blue");
    expect(await json("vn", "list")).toEqual([]);
  });

  test("exports one tenant with what is its own, which applies elsewhere", async () => {
    await apply(`${example}\n`, "--yes");
    await run("vn", "create", "red");
    await run("profile", "create", "unused", "--dscp", "1");
    const { text } = await run("export", "--tenant", "acme");
    expect(text).not.toMatch(/default|unused|policies/);
    expect((await apply(text, "--dry-run")).lines.at(-1)).toMatch(
      /^0 created, 0 changed, 0 deleted/,
    );
    const other = await rig();
    try {
      const there = await runNva(other.address, ["apply", "-f", "-", "--yes"], {
        read: async () => text,
      });
      expect(there.lines.at(-1)).toMatch(/^done/);
    } finally {
      await other.stop();
    }
    const none = await run("export", "--tenant", "nobody");
    expect(none).toMatchObject({ exitCode: 1, errors: expect.stringMatching(/no tenant nobody/) });
  });
});

test("P1: any domain that is applied is exported so that it applies without a difference", async () => {
  await fc.assert(
    fc.asyncProperty(domains, async (all) => {
      const nva = await rig();
      try {
        const { run, apply } = against(() => nva.address);
        const done = await apply(domainYaml(all), "--yes");
        expect(done.errors).toBe("");
        const { text } = await run("export");
        const again = await apply(text, "--prune", "--dry-run", "--detailed-exitcode");
        expect(again.lines).toEqual([expect.stringMatching(/^0 created, 0 changed, 0 deleted/)]);
        expect(again).toMatchObject({ errors: "", exitCode: 0 });
        const same = await apply(domainYaml(all), "--prune", "--dry-run");
        expect(same.lines).toEqual([expect.stringMatching(/^0 created, 0 changed, 0 deleted/)]);
      } finally {
        await nva.stop();
      }
    }),
    { numRuns: 12 },
  );
}, 60_000);

test("the policies that admission.md shows can be applied", () => {
  const text = readFileSync(join(import.meta.dirname, "../../../docs/admission.md"), "utf8");
  const shown = /^ {4}policies:\n(?: {6}.*\n)+/m.exec(text)?.[0] ?? "";
  expect(parseDomain(shown.replace(/^ {4}/gm, ""))).toMatchObject([
    { declared: { kind: "policy", value: { name: "proven", deny: false, authenticated: true } } },
    { declared: { kind: "policy", value: { name: "nobody-else", deny: true } } },
  ]);
});

describe("before anything is done", () => {
  let nva: FakeNorthbound;
  const asked: string[] = [];
  let answer: boolean | undefined;
  beforeEach(async () => {
    nva = await fakeNorthbound();
    asked.length = 0;
  });
  afterEach(() => nva.stop());
  const files = { read: async () => "tenants: { acme: {} }" };
  const { run } = against(() => nva.address, {
    ...files,
    confirm: async (question) => {
      asked.push(question);
      return answer;
    },
  });
  const applied = () =>
    nva.calls.filter(
      ([name, request]) => name === "apply" && !(request as { dryRun: boolean }).dryRun,
    );

  test("whoever sits at the terminal is asked, after the difference", async () => {
    answer = false;
    const no = await run("apply", "-f", "x.yaml");
    expect(no).toMatchObject({ exitCode: 1, notes: ["nothing was done"] });
    expect(no.lines).toEqual(["+ tenant acme", "1 created, 0 changed, 0 deleted, 0 unchanged"]);
    expect(applied()).toEqual([]);
    answer = true;
    const yes = await run("apply", "-f", "x.yaml", "--detailed-exitcode");
    expect(yes.exitCode).toBe(2);
    expect(applied()).toMatchObject([["apply", { expected: 10n, prune: false, force: false }]]);
    expect(asked).toEqual(["Make it so?", "Make it so?"]);
  });

  test("nobody there, standard input and --json want --yes", async () => {
    answer = undefined;
    for (const flags of [
      ["-f", "x.yaml"],
      ["-f", "-"],
      ["-f", "x.yaml", "--json"],
    ]) {
      const { errors, exitCode } = await run("apply", ...flags);
      expect(errors).toMatch(/nothing was done: nobody is there to be asked; say --yes/);
      expect(exitCode).toBe(1);
    }
    expect(applied()).toEqual([]);
  });

  test("nothing to do asks nobody", async () => {
    await run("apply", "-f", "x.yaml", "--yes");
    expect(await run("apply", "-f", "x.yaml", "--detailed-exitcode")).toMatchObject({
      exitCode: 0,
    });
    expect(asked).toEqual([]);
  });

  test("what somebody else does meanwhile: if the same is still to be done, it is", async () => {
    let times = 0;
    nva.onCall((method) => {
      if (method === "apply" && applied().length === 1 && times++ === 0) create(nva, "other");
    });
    const { lines } = await run("apply", "-f", "x.yaml", "--yes");
    expect(lines.at(-1)).toMatch(/^done/);
    expect(applied()).toHaveLength(2);
  });

  test("and if it is not, nothing is", async () => {
    let times = 0;
    nva.onCall((method) => {
      if (method === "apply" && applied().length === 1 && times++ === 0) create(nva, "acme", "x");
    });
    const { errors, exitCode } = await run("apply", "-f", "x.yaml", "--yes");
    expect(errors).toMatch(/has changed since the difference was shown: nothing was done/);
    expect(exitCode).toBe(1);
    expect(applied()).toHaveLength(1);
  });

  test("a file that is not there, or too large a domain, is one message", async () => {
    const missing = await runNva(nva.address, ["apply", "-f", "/nonexistent.yaml"]);
    expect(missing).toMatchObject({
      exitCode: 1,
      errors: expect.stringMatching(/cannot read \/nonexistent.yaml: ENOENT/),
    });
    const description = "x".repeat(1_000_000);
    const all = Array.from({ length: 9 }, (_, i) => `t${i}: { description: ${description} }`);
    const large = await runNva(nva.address, ["apply", "-f", "-", "--yes"], {
      read: async () => `tenants:\n  ${all.join("\n  ")}`,
    });
    expect(large.errors).toMatch(/the domain comes to \d+ octets, and the NVA takes 8388608/);
    expect(nva.calls).toEqual([]);
  });

  test("a file that is not UTF-8 is refused, not changed", async () => {
    const folder = mkdtempSync(join(tmpdir(), "nva-apply-"));
    try {
      const file = join(folder, "latin1.yaml");
      writeFileSync(file, Buffer.from("tenants: { acme: { description: M\u00fcller } }", "latin1"));
      expect(await runNva(nva.address, ["apply", "-f", file, "--yes"])).toMatchObject({
        exitCode: 1,
        errors: `error: ${file} is not text in UTF-8\n`,
      });
      expect(nva.calls).toEqual([]);
    } finally {
      rmSync(folder, { recursive: true });
    }
  });

  test("nothing at all is no domain to prune by: what was to write it may have failed", async () => {
    const empty = { read: async () => "\n" };
    const pruned = await runNva(nva.address, ["apply", "-f", "-", "--prune", "--yes"], empty);
    expect(pruned).toMatchObject({
      exitCode: 1,
      errors: expect.stringContaining("standard input is empty, and --prune would delete all"),
    });
    expect(nva.calls).toEqual([]);
    expect((await runNva(nva.address, ["apply", "-f", "-"], empty)).exitCode).toBe(0);
  });
});

const create = (nva: FakeNorthbound, name: string, description = "") =>
  nva.put({
    key: { kind: 1, key: name },
    revision: 0n,
    of: { $case: "tenant", value: { ...Tenant.create(), name, description } },
    note: "",
  });
