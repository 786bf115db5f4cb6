import { chmodSync, mkdtempSync, rmSync, statSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { keyCommand } from "@nve/program/key-command";
import { makeKeyFile, readKeyFile } from "@nve/program/key-file";
import { Command } from "commander";
import { afterAll, expect, test } from "vitest";

const folder = mkdtempSync(join(tmpdir(), "split-nve-keys-"));
afterAll(() => rmSync(folder, { recursive: true }));
let files = 0;

function file(text: string, mode = 0o600): string {
  files += 1;
  const path = join(folder, `${files}.key`);
  writeFileSync(path, text);
  chmodSync(path, mode);
  return path;
}

const secret = "00112233445566778899aabbccddeeff";

test("a new key can be read, is its owner's alone, and no two are alike", () => {
  const [one, two] = [join(folder, "one.key"), join(folder, "two.key")];
  makeKeyFile(one, 1);
  makeKeyFile(two, 200);
  expect(statSync(one).mode & 0o777).toBe(0o600);
  const [[first], [second]] = [readKeyFile(one), readKeyFile(two)];
  expect([first?.id, second?.id]).toEqual([1, 200]);
  expect(first?.secret).toHaveLength(32);
  expect(first?.secret).not.toEqual(second?.secret);
});

test("a key is never written over", () => {
  const path = file(`1 ${secret}`);
  expect(() => makeKeyFile(path, 2)).toThrow(/there already/);
  expect(readKeyFile(path)[0]?.id).toBe(1);
});

test("several keys in their order, with comments and empty lines", () => {
  const path = file(`# new\n2 ${secret}${secret}\n\n1\t${secret} # old\n`);
  expect(readKeyFile(path).map(({ id, secret }) => [id, secret.length])).toEqual([
    [2, 32],
    [1, 16],
  ]);
});

test.each([0o640, 0o604, 0o660])("mode %o is refused: others could read the keys", (mode) => {
  expect(() => readKeyFile(file(`1 ${secret}`, mode))).toThrow(/chmod 600/);
});

test.each([
  ["", /has no key/],
  ["# none\n", /has no key/],
  [secret, /line 1: a key is/],
  [`1 ${secret} ${secret}`, /line 1: a key is/],
  [`256 ${secret}`, /line 1: it does not begin with a key id/],
  [`1 ${secret}\n1 ${secret}`, /line 2: key 1 stands here twice/],
  [`1 ${secret.slice(2)}`, /16 to 64 octets/],
  [`1 ${secret.repeat(4)}00`, /16 to 64 octets/],
  [`1 ${secret}0`, /16 to 64 octets/],
  [`1 ${secret.replace("a", "x")}`, /16 to 64 octets/],
  [Array.from({ length: 17 }, (_, i) => `${i} ${secret}`).join("\n"), /more than 16/],
])("what is no key file is refused, and no secret is told: %#", (text, why) => {
  const path = file(text);
  expect(() => readKeyFile(path)).toThrow(why);
  expect(() => readKeyFile(path)).not.toThrow(secret.slice(0, 12));
});

test("a folder or a file that is not there is refused", () => {
  chmodSync(folder, 0o700);
  expect(() => readKeyFile(folder)).toThrow(/is no file/);
  expect(() => readKeyFile(join(folder, "nowhere"))).toThrow(/cannot read the key file/);
  expect(() => makeKeyFile(join(folder, "no/where"), 1)).toThrow(
    /there is no folder .*no: make it first/,
  );
});

test("`key new` makes the file and prints its name, not the key", async () => {
  const path = join(folder, "made.key");
  const lines: string[] = [];
  const program = new Command().addCommand(keyCommand((line) => lines.push(line)));
  await program.parseAsync(["key", "new", path, "--id", "7"], { from: "user" });
  const [key] = readKeyFile(path);
  expect(key?.id).toBe(7);
  expect(lines.join()).toContain(path);
  expect(lines.join()).not.toContain(Buffer.from(key?.secret ?? []).toString("hex"));
});
