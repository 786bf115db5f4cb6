import { existsSync, readFileSync } from "node:fs";
import { resolve } from "node:path";
import { findTopology, topologies } from "@nve/lab/find";
import { parseTopology, readTopology } from "@nve/lab/topology";
import { Refused } from "@nve/program";
import { Ajv } from "ajv";
import { describe, expect, test } from "vitest";
import { parse } from "yaml";

const topology = (yaml: string, name?: string) => parseTopology(yaml, "/labs/x", name);

const pair = `
name: pair
topology:
  nodes:
    a: { kind: linux }
    b:
  links:
    - { endpoints: ["a:eth1", "b:eth1"], mtu: 1600 }
    - endpoints: ["a:eth2", "b:eth2"]
`;

/** The faults that a text is refused with, a line each. */
function faults(yaml: string): readonly string[] {
  try {
    topology(yaml);
  } catch (error) {
    if (error instanceof Refused)
      return error.message
        .split("\n")
        .slice(1)
        .map((line) => line.trim());
    throw error;
  }
  return [];
}

test("reads nodes and links; an MTU not told is 1500", () => {
  const { name, nodes, links } = topology(pair);
  expect(name).toBe("pair");
  expect(nodes.map((node) => node.name)).toEqual(["a", "b"]);
  expect(links).toEqual([
    {
      ends: [
        { node: "a", interface: "eth1" },
        { node: "b", interface: "eth1" },
      ],
      mtu: 1600,
    },
    {
      ends: [
        { node: "a", interface: "eth2" },
        { node: "b", interface: "eth2" },
      ],
      mtu: 1500,
    },
  ]);
});

test("defaults, kind, group and node merge in this order: env and labels by key, exec and binds one after another", () => {
  const { nodes } = topology(`
name: merged
topology:
  defaults: { env: { A: 1, B: 1, C: 1, D: 1 }, exec: [one], cmd: from defaults, binds: ["x:/run/x"] }
  kinds: { linux: { env: { B: 2, C: 2, D: 2 }, exec: [two], labels: { l: kind }, group: g } }
  groups: { g: { env: { C: 3, D: 3 }, exec: [three], cmd: from group } }
  nodes: { n: { env: { D: yes }, exec: ["four 'with blanks'"], binds: ["/y:/etc/hosts:ro"] } }
`);
  expect(nodes).toEqual([
    {
      name: "n",
      env: { A: "1", B: "2", C: "3", D: "yes" },
      exec: [["one"], ["two"], ["three"], ["four", "with blanks"]],
      cmd: ["from", "group"],
      labels: { l: "kind" },
      sysctls: {},
      binds: [
        { source: "/labs/x/x", target: "/run/x", readOnly: false },
        { source: "/y", target: "/etc/hosts", readOnly: true },
      ],
    },
  ]);
});

test("another name for the lab takes the place of the file's own", () => {
  expect(topology(pair, "other").name).toBe("other");
  expect(() => topology(pair, "no/slash")).toThrow(Refused);
});

describe("refuses, with the line and the place,", () => {
  const inNode = (line: string) => `name: x\ntopology:\n  nodes:\n    a: { ${line} }\n`;

  test.each([
    [
      "an unknown key",
      inNode("kind: linux, imagee: x"),
      /^line 4: topology.nodes.a: unknown key "imagee"/,
    ],
    [
      "another kind",
      inNode("kind: nokia_srlinux"),
      /^line 4: topology.nodes.a.kind: only kind linux/,
    ],
    [
      "an open quote",
      inNode(`exec: ["sh -c 'x"]`),
      /^line 4: topology.nodes.a.exec.0: the command has a '/,
    ],
    [
      "a bind without a target",
      inNode("binds: [x]"),
      /^line 4: topology.nodes.a.binds.0: a bind is/,
    ],
    [
      "a kernel parameter of the machine",
      inNode("sysctls: { kernel.panic: 1 }"),
      /only net\.… belongs/,
    ],
    [
      "a name that no host has",
      pair.replace("a: {", "a_b: {"),
      /^line 5: topology.nodes.a_b: a name is/,
    ],
    ["a management network", inNode("network-mode: bridge"), /only network-mode none/],
    ["no nodes", "name: x\ntopology: { nodes: {} }", /^line 2: topology.nodes: no nodes/],
    [
      "a node that is not there",
      pair.replace("b:eth2", "c:eth2"),
      /^line 9: topology.links.1.endpoints.1: c:eth2: there is no node c/,
    ],
    [
      "an end twice",
      pair.replace("b:eth2", "b:eth1"),
      /^line 9: .*b:eth1: another link ends there/,
    ],
    [
      "a long interface name",
      pair.replace("b:eth2", "b:abcdefghijklmnop"),
      /^line 9: .*at most 15/,
    ],
    [
      "an endpoint without an interface",
      pair.replace("b:eth2", "b"),
      /^line 9: .*an endpoint is <node>:<interface>/,
    ],
    ["an MTU that no link has", pair.replace("1600", "20"), /^line 8: topology.links.0.mtu:/],
  ])("%s", (_, yaml, fault) => {
    expect(faults(yaml)).toEqual([expect.stringMatching(fault)]);
  });

  test("all faults at once", () => {
    expect(faults(pair.replace("b:eth2", "c:lo").replace("a:eth2", "a:eth1"))).toHaveLength(3);
  });
});

test("a node whose namespace would have no valid name is refused", () => {
  expect(() => topology(pair, "x".repeat(62))).toThrow(/at most 63/);
});

// The schema is containerlab's own file, not part of this repository: a copy may lie beside it.
const { CONTAINERLAB_SCHEMA: schema = resolve("../shared/data/containerlab.schema.json") } =
  process.env;
const check = existsSync(schema)
  ? new Ajv({ strict: false }).compile(JSON.parse(readFileSync(schema, "utf8")))
  : undefined;

describe.each(topologies())("lab/%s", (name) => {
  test("is a topology whose binds exist", () => {
    const { nodes } = readTopology(findTopology(name));
    const sources = nodes.flatMap((node) => node.binds.map((bind) => bind.source));
    expect(sources.filter((source) => !existsSync(source))).toEqual([]);
  });

  test.skipIf(check === undefined)("is valid by containerlab's schema", () => {
    if (check === undefined) return;
    const file = parse(readFileSync(findTopology(name), "utf8"));
    expect(check(file), JSON.stringify(check.errors)).toBe(true);
    expect(check({ ...file, unheard: 1 })).toBe(false);
  });
});
