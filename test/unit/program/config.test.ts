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

test("broken YAML, an empty file and a missing file are the operator's faults", () => {
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
