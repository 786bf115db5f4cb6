import { dirname, resolve } from "node:path";
import { parseConfig, readConfig } from "@nve/program/config";
import { Refused, Usage } from "@nve/program/errors";
import { z } from "zod";
import { words } from "./words.ts";

/** What a topology file asks for, with defaults, kinds and groups merged into each node. */
export type Topology = {
  name: string;
  /** Of the file: what its binds are relative to. */
  folder: string;
  nodes: readonly TopologyNode[];
  links: readonly TopologyLink[];
};

export type TopologyNode = {
  name: string;
  cmd?: readonly string[];
  exec: readonly (readonly string[])[];
  env: Readonly<Record<string, string>>;
  binds: readonly Bind[];
  labels: Readonly<Record<string, string>>;
  sysctls: Readonly<Record<string, string>>;
};

/** `source` is absolute; so is `target`, in the node. */
export type Bind = { source: string; target: string; readOnly: boolean };

export type TopologyLink = { ends: readonly [LinkEnd, LinkEnd]; mtu: number };
type LinkEnd = { node: string; interface: string };

/** `<lab>-<node>` names a network namespace and has to fit a host name, too. */
const maxNamespaceLength = 63;
const maxInterfaceLength = 15;

const nameRule = "a name is letters, digits and hyphens";
const plainName = z.string().regex(/^[a-zA-Z0-9][a-zA-Z0-9-]*$/, nameRule);
const commandLine = z.string().superRefine((line, ctx) => {
  const split = words(line);
  if (typeof split === "string") ctx.addIssue(`the command ${split}`);
});
const text = z.union([z.string(), z.number(), z.boolean()]).transform(String);
const bind = z
  .string()
  .regex(
    /^[^:]+:\/[^:]*(:(ro|rw))?$/,
    "a bind is <file or folder here>:</absolute/path in the node>[:ro]",
  );
/** What a record's bad key is told; its other faults have zod's words. */
const keyRule = (rule: string) => ({
  error: (issue: { code?: string | undefined }) =>
    issue.code === "invalid_key" ? rule : undefined,
});
// Other kernel parameters are not the namespace's own: they would change the whole machine.
const sysctl = z.string().regex(/^net(\.[\w-]+)+$/);

const nodeSchema = z.strictObject({
  kind: z.literal("linux", "only kind linux runs in a network namespace").optional(),
  group: z.string().optional(),
  image: z.string().optional(), // for containerlab: here the machine's own files are the image
  "network-mode": z
    .literal("none", "only network-mode none: a namespace has no management network")
    .optional(),
  cmd: commandLine.optional(),
  exec: z.array(commandLine).min(1).optional(),
  env: z
    .record(z.string().regex(/^\w+$/), text, keyRule("a variable's name is letters, digits and _"))
    .optional(),
  binds: z.array(bind).min(1).optional(),
  labels: z.record(z.string(), text).optional(),
  sysctls: z.record(sysctl, text, keyRule("only net.… belongs to a node")).optional(),
});
type NodeText = z.infer<typeof nodeSchema>;

const mtu = z.int().min(68).max(65535);
const endpoint = z
  .string()
  .regex(/^[^:\s]+:[^:\s]+$/, { error: "an endpoint is <node>:<interface>", abort: true })
  .transform((pair): LinkEnd => {
    const [node = "", name = ""] = pair.split(":");
    return { node, interface: name };
  });

/** The subset of containerlab's topology file that network namespaces can do. All else is refused. */
const schema = z
  .strictObject({
    name: plainName,
    prefix: z.literal("__lab-name", 'only "__lab-name": nodes are called <lab>-<node>').optional(),
    topology: z.strictObject({
      defaults: nodeSchema.optional(),
      kinds: z.strictObject({ linux: nodeSchema.optional() }).optional(),
      groups: z.record(z.string(), nodeSchema).optional(),
      nodes: z.record(plainName, nodeSchema.nullable(), keyRule(nameRule)),
      links: z
        .array(z.strictObject({ endpoints: z.tuple([endpoint, endpoint]), mtu: mtu.optional() }))
        .min(1)
        .optional(),
    }),
  })
  .superRefine((file, ctx) => {
    const fault = (path: (string | number)[], message: string) =>
      ctx.addIssue({ code: "custom", path: ["topology", ...path], message });
    if (Object.keys(file.topology.nodes).length === 0) fault(["nodes"], "no nodes");
    checkLinks(file, fault);
  });
type FileText = z.infer<typeof schema>;

/** @param name of the lab, in place of the file's own. @throws Refused with all faults and their lines. */
export function readTopology(path: string, name?: string): Topology {
  return topologyOf(readConfig(path, schema), dirname(resolve(path)), name);
}

export function parseTopology(yaml: string, folder: string, name?: string): Topology {
  return topologyOf(parseConfig(yaml, schema, "topology"), folder, name);
}

/** The name of a node's network namespace on this machine. */
export const namespaceOf = (lab: string, node: string): string => `${lab}-${node}`;

function topologyOf(file: FileText, folder: string, name = file.name): Topology {
  // The file's own has been looked at.
  if (!plainName.safeParse(name).success)
    throw new Usage(`"${name}" cannot name a lab: ${nameRule}`);
  const { nodes, links = [], ...shared } = file.topology;
  for (const node of Object.keys(nodes)) {
    const namespace = namespaceOf(name, node);
    if (namespace.length > maxNamespaceLength)
      throw new Refused(`${namespace}: <lab>-<node> has at most ${maxNamespaceLength} characters`);
  }
  return {
    name,
    folder,
    nodes: Object.entries(nodes).map(([node, own]) =>
      nodeOf(node, layersOf(shared, own ?? {}), folder),
    ),
    links: links.map(({ endpoints, mtu = 1500 }) => ({ ends: endpoints, mtu })),
  };
}

/** From the general to the particular, each overriding those before: defaults, kind, group, node. */
function layersOf(
  { defaults = {}, kinds = {}, groups = {} }: Omit<FileText["topology"], "nodes" | "links">,
  own: NodeText,
): readonly NodeText[] {
  const kind = kinds.linux ?? {};
  const group = own.group ?? kind.group ?? defaults.group;
  return [defaults, kind, group === undefined ? {} : (groups[group] ?? {}), own];
}

function nodeOf(name: string, layers: readonly NodeText[], folder: string): TopologyNode {
  const cmd = layers.findLast((layer) => layer.cmd !== undefined)?.cmd;
  const merged = (of: (layer: NodeText) => Record<string, string> | undefined) =>
    Object.assign({}, ...layers.map(of)) as Record<string, string>;
  const all = (of: (layer: NodeText) => readonly string[] | undefined) =>
    layers.flatMap((layer) => of(layer) ?? []);
  return {
    name,
    ...(cmd === undefined ? {} : { cmd: split(cmd) }),
    exec: all((layer) => layer.exec).map(split),
    env: merged((layer) => layer.env),
    binds: all((layer) => layer.binds).map((text) => bindOf(text, folder)),
    labels: merged((layer) => layer.labels),
    sysctls: merged((layer) => layer.sysctls),
  };
}

/** Of a line that the schema has let through. */
function split(line: string): readonly string[] {
  const found = words(line);
  if (typeof found === "string") throw new Error(`${found}: ${line}`);
  return found;
}

function bindOf(text: string, folder: string): Bind {
  const [source = "", target = "", mode = ""] = text.split(":");
  return { source: resolve(folder, source), target, readOnly: mode === "ro" };
}

function checkLinks(
  { topology: { nodes, links = [] } }: FileText,
  fault: (path: (string | number)[], message: string) => void,
): void {
  const taken = new Set<string>();
  links.forEach(({ endpoints }, i) => {
    endpoints.forEach(({ node, interface: name }, side) => {
      const end = `${node}:${name}`;
      const wrong = (message: string) =>
        fault(["links", i, "endpoints", side], `${end}: ${message}`);
      if (!Object.hasOwn(nodes, node)) wrong(`there is no node ${node}`);
      if (taken.has(end)) wrong("another link ends there");
      if (name.length > maxInterfaceLength)
        wrong(`an interface's name has at most ${maxInterfaceLength} characters`);
      if (name.includes("/") || name === "lo" || /^\.+$/.test(name))
        wrong("the kernel allows no such interface");
      taken.add(end);
    });
  });
}
