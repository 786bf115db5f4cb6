import { parseConfig } from "@nve/program/config";
import { configSchema } from "@nve/switch-agent/config";
import { expect, test } from "vitest";

const schema = configSchema(() => []);
const parse = (dataplane: string) =>
  parseConfig(
    `
vtep: 192.0.2.1
nva: { addresses: ["nva:7470"], insecure: true }
ports: [{ name: swp1 }]
dataplane: { ${dataplane} }
`,
    schema,
  ).dataplane;

test("frames stop with an agent whose driver cannot keep them", () => {
  expect(parse("driver: ebpf")).toMatchObject({ driver: "ebpf", onStop: "keep" });
  expect(parse("driver: userspace")).toMatchObject({ driver: "userspace", onStop: "remove" });
  expect(parse("driver: userspace, onStop: remove")).toMatchObject({ onStop: "remove" });
});

test("what a driver cannot do is refused by name, all of it at once", () => {
  const all = "attach: tcx, fastPath: off, onStop: keep, pins: /sys/fs/bpf, tables: { macs: 10 }";
  expect(parse(all)).toMatchObject({ driver: "ebpf", attach: "tcx", onStop: "keep" });
  let faults = "";
  try {
    parse(`driver: userspace, ${all}`);
  } catch (error) {
    faults = String(error);
  }
  for (const key of ["attach", "fastPath", "onStop", "pins", "tables"]) {
    expect(faults).toContain(`dataplane.${key}: not with driver userspace: `);
  }
});
