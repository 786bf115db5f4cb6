import { parseTopology } from "@nve/lab/topology";
import { declaredVms, vmOf } from "@nve/lab/vm/declared";
import { expect, test } from "vitest";

const topology = (labels: string) =>
  parseTopology(
    `name: a\ntopology:\n  nodes:\n    srv1: { kind: linux, labels: { ${labels} } }\n    srv2: { kind: linux }\n`,
    "/",
  );

test("a label of a server declares a VM with its addresses", () => {
  const label =
    'nve.vm.web: "mac=02:00:00:00:00:0A ip=10.0.1.21/24,fd00::21/64 memory=128", rack: "1"';
  expect(declaredVms(topology(label))).toEqual([
    {
      name: "web",
      server: "srv1",
      mac: "02:00:00:00:00:0a",
      addresses: ["10.0.1.21/24", "fd00::21/64"],
      memoryMb: 128,
    },
  ]);
});

const good = "mac=02:00:00:00:00:01 ip=10.0.1.21/24";

test.each([
  ["web", "mac=02:00:00:00:00:01", "ip= is not an address with its length"],
  ["web", "mac=02:00:00:00:00:01 ip=10.0.1.21", "ip=10.0.1.21 is not an address with its length"],
  ["web", "mac=02:00:00:00:00:01 ip=10.0.1.21/33", "is not an address with its length"],
  ["web", "mac=02:00:00:00:00:01 ip=10.0.1.21/24/1", "is not an address with its length"],
  ["web", "ip=10.0.1.21/24", "mac= is no MAC address"],
  ["web", "mac=03:00:00:00:00:01 ip=10.0.1.21/24", "is no MAC address of a station"],
  ["web", `${good} memory=12`, "memory=12 is not 64 to 4096 MB"],
  ["web", `${good} memory=x`, "memory=x is not 64 to 4096 MB"],
  ["web", `${good} disk=4`, '"disk=4" is not mac=, ip= or memory='],
  ["web", `${good} ip=10.0.1.22/24`, "ip= stands there twice"],
  ["a-name-too-long", good, "a VM's name is 1 to 11"],
  ["Web", good, "a VM's name is 1 to 11"],
])("VM %s with %j is refused, with the label and why", (name, words, why) => {
  expect(() => vmOf("srv1", name, words)).toThrow(`srv1: label nve.vm.${name}: `);
  expect(() => vmOf("srv1", name, words)).toThrow(why);
});

test("a VM begins on one server", () => {
  const twice = parseTopology(
    `name: a\ntopology:\n  defaults: { labels: { nve.vm.web: "${good}" } }\n  nodes: { srv1: {}, srv2: {} }\n`,
    "/",
  );
  expect(() => declaredVms(twice)).toThrow("VM web is declared on srv1 and on srv2");
});
