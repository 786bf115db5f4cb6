import { checked, parseConfig, Refused, readConfig } from "@nve/program";
import { Vid } from "@nve/protocol-spec";
import { expect, test } from "vitest";
import { z } from "zod";

const Ports = z.strictObject({
  ports: z.array(z.strictObject({ name: z.string(), tag: z.number().transform(checked(Vid)) })),
  level: z.enum(["info", "debug"]).default("info"),
});

const faults = (text: string): string => {
  try {
    parseConfig(text, Ports, "tor.yaml");
  } catch (error) {
    if (error instanceof Refused) return error.message;
    throw error;
  }
  throw new Error("was accepted");
};

test("a good file gives the value, with what is left out filled in", () => {
  expect(parseConfig("ports: [{name: eth1, tag: 7}]", Ports)).toEqual({
    ports: [{ name: "eth1", tag: 7 }],
    level: "info",
  });
});

test("all faults are named at once, each with its line", () => {
  const message = faults(
    "ports:\n  - name: eth1\n    tag: 4095\n  - nmae: eth2\n    tag: 3\nlevl: info\n",
  );
  expect(message).toContain("tor.yaml:");
  expect(message).toMatch(/line 3: ports\.0\.tag: VID 4095 is not in 1\.\.4094/);
  expect(message).toMatch(/line 4: ports\.1: unknown key "nmae"/);
  expect(message).toMatch(/ports\.1\.name/);
  expect(message).toMatch(/line 6: unknown key "levl"/);
});

test("what is wrong with a value is said in plain words, with what is wanted", () => {
  const Small = z.strictObject({
    count: z.number().int().min(1).max(9),
    isOn: z.boolean(),
    list: z.array(z.string()),
    level: z.enum(["info", "warn", "debug"]),
    inner: z.strictObject({ path: z.string() }),
    either: z.union([z.string(), z.strictObject({})]),
  });
  const said = (text: string): string => {
    try {
      parseConfig(text, Small);
    } catch (error) {
      if (error instanceof Refused) return error.message;
    }
    return "";
  };
  const wrong = said("{ count: 0, isOn: 1, list: x, level: loud, inner: 7, either: 7 }");
  expect(wrong.split("\n").slice(1)).toEqual([
    "  line 1: count: is less than 1",
    "  line 1: isOn: is not true or false",
    "  line 1: list: is not a list: [ … ]",
    "  line 1: level: is not info, warn or debug",
    "  line 1: inner: is not a map of keys and values: { … }",
    "  line 1: either: is nothing that can stand here",
  ]);
  expect(said("{ count: 10 }")).toContain("count: is more than 9");
  expect(said("{ count: 1.5 }")).toContain("count: is not a whole number");
  expect(said("{ count: x }")).toContain("count: is not a number");
  for (const key of ["count", "isOn", "list", "level", "inner", "either"]) {
    expect(said("")).toContain(`  ${key}: is missing`);
  }
  expect(said("inner: {}")).toContain("line 1: inner.path: is missing");
});

test("broken YAML, an empty file and a missing file are the operator's faults", () => {
  expect(faults("ports: []\n---\nports: []\n")).toBe(
    "tor.yaml:\n  line 2: a second document begins here: a file is one document",
  );
  expect(faults("ports: [")).toMatch(/line 1/);
  expect(faults("")).toMatch(/ports/);
  expect(() => readConfig("/nonexistent/x.yaml", Ports)).toThrow(
    /cannot read the config file.*ENOENT/,
  );
});

test("an alias bomb is refused, not expanded", () => {
  const bomb = [
    "a: &a [x,x,x,x,x,x,x,x,x]",
    ...["b", "c", "d", "e", "f"].map((key, i) => {
      const last = "abcde"[i];
      return `${key}: &${key} [${new Array(9).fill(`*${last}`).join(",")}]`;
    }),
  ].join("\n");
  expect(() => parseConfig(bomb, Ports)).toThrow(Refused);
});
