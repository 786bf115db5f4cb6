import { parseConfig } from "@nve/program/config";
import { configSchema } from "@nve/switch-agent/config";
import { expect, test } from "vitest";

const schema = configSchema(() => []);
const whole = (dataplane: string, port = "", more = "") =>
  parseConfig(
    `
vtep: 192.0.2.1
nva: { addresses: ["nva:7470"], insecure: true }
ports: [{ name: swp1${port} }]
dataplane: { ${dataplane} }
${more}
`,
    schema,
  );
const parse = (dataplane: string) => whole(dataplane).dataplane;

function faultsOf(read: () => unknown): string {
  try {
    read();
  } catch (error) {
    return String(error);
  }
  return "";
}

test("frames stop with an agent whose driver cannot keep them", () => {
  expect(parse("driver: ebpf")).toMatchObject({ driver: "ebpf", onStop: "keep" });
  expect(parse("driver: userspace")).toMatchObject({ driver: "userspace", onStop: "remove" });
  expect(parse("driver: userspace, onStop: remove")).toMatchObject({ onStop: "remove" });
});

test("what a driver cannot do is refused by name, all of it at once", () => {
  const all = "attach: tcx, fastPath: off, onStop: keep, pins: /sys/fs/bpf, tables: { macs: 10 }";
  expect(parse(all)).toMatchObject({ driver: "ebpf", attach: "tcx", onStop: "keep" });
  const faults = faultsOf(() => parse(`driver: userspace, ${all}`));
  for (const key of ["attach", "fastPath", "onStop", "pins", "tables"]) {
    expect(faults).toContain(`dataplane.${key}: not with driver userspace: `);
  }
});

test("a bridge does by itself what it can, and refuses what more is asked for", () => {
  const plain = whole("driver: bridge", ", checkSource: true");
  expect(plain.dataplane).toMatchObject({ answer: false, floodLimit: "off", onStop: "remove" });
  expect(plain.ports).toMatchObject([{ checkSource: true, checkIps: false }]);
  expect(parse("driver: ebpf")).toMatchObject({
    answer: true,
    floodLimit: { perSecond: 1000, burst: 2000 },
  });
  const limit = "floodLimit: { perSecond: 10 }";
  const faults = faultsOf(() =>
    whole(`driver: bridge, answer: true, ${limit}, encapsulations: [nvgre, vxlan]`),
  );
  for (const key of ["answer", "floodLimit", "encapsulations"]) {
    expect(faults).toContain(`dataplane.${key}: not with driver bridge: `);
  }
  const ofPort = faultsOf(() =>
    whole("driver: bridge", `, checkSource: true, checkIps: true, ${limit}`, "learning: pull"),
  );
  for (const key of ["checkIps", "floodLimit"]) {
    expect(ofPort).toContain(`ports.0.${key}: not with driver bridge: `);
  }
  expect(ofPort).toContain("learning: not with driver bridge: ");
});
