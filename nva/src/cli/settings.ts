import type { Command } from "commander";
import { Input } from "../domain/input.ts";
import { type Fault, type Tree, treeOf } from "../domain/tree.ts";
import { readYaml } from "../domain/yaml.ts";

/** A flag that sets a field of a domain file (docs/nva-domain.md), written as there. */
export type Setting = {
  /** `--max-vns <n>`; `<…>` once more and again when it is a list */
  flag: string;
  says: string;
  /** Where the field is. */
  field: readonly string[];
  /** What the flag's text, or texts, come to; what it takes is read as a list when it may stand several times. */
  tree?: (texts: readonly string[]) => Tree;
  /** What a flag without a value says. */
  word?: string;
  /** What --clear takes away where it is more than the field. */
  whole?: readonly string[];
};

const nameOf = ({ flag }: Setting): string => flag.split(" ")[0]?.slice(2) ?? flag;
const isList = ({ flag }: Setting): boolean => flag.endsWith("...>");

/** Adds the flags to a command. */
export function withSettings(command: Command, settings: readonly Setting[]): Command {
  for (const { flag, says } of settings) command.option(flag, says);
  return command;
}

/** Adds `--clear`, which takes fields away. */
export function withClear(command: Command, settings: readonly Setting[]): Command {
  const names = settings.map(nameOf).join(", ");
  return command.option("--clear <names...>", `take away what these flags have set: ${names}`);
}

/**
 * The fields with what the flags say: read as a domain file's, and what is wrong ends the command as a usage error that
 * names the flags.
 */
export function settle<T>(
  command: Command,
  settings: readonly Setting[],
  before: Tree,
  read: (input: Input) => T | undefined,
): T {
  const faults: Fault[] = [];
  const cleared = clearedIn(command, settings);
  let tree = cleared.reduce(
    (all, { field, whole = field }) => withField(all, whole, undefined),
    before,
  );
  for (const setting of settings) {
    const value: unknown = command.getOptionValue(optionName(command, setting));
    if (value === undefined) continue;
    tree = withField(tree, setting.field, treeOfFlag(setting, value, faults));
  }
  const made = read(new Input(tree, faults));
  if (made !== undefined && faults.length === 0) return made;
  return command.error(
    `error: ${faults.map((fault) => faultText(fault, settings)).join("\nerror: ")}`,
    { exitCode: 2 },
  );
}

/** Whether any of the flags is given; a usage error for --clear of something else, or of what is set too. */
export const isAnySet = (command: Command, settings: readonly Setting[]): boolean =>
  clearedIn(command, settings).length > 0 || settings.some((one) => isSet(command, one));

const isSet = (command: Command, setting: Setting): boolean =>
  command.getOptionValue(optionName(command, setting)) !== undefined;

function clearedIn(command: Command, settings: readonly Setting[]): Setting[] {
  const names: unknown = command.getOptionValue("clear");
  if (!Array.isArray(names)) return [];
  return names.flatMap((name: unknown) => {
    const text = String(name).replace(/^--/, "");
    const setting = settings.find((one) => nameOf(one) === text);
    if (setting !== undefined && isSet(command, setting))
      return command.error(`error: --clear ${text} and --${text}: say one of them`, {
        exitCode: 2,
      });
    return (
      setting ??
      command.error(`error: --clear: "${text}" is none of ${settings.map(nameOf).join(", ")}`, {
        exitCode: 2,
      })
    );
  });
}

/** Commander's own name for its value: camel case. */
const optionName = (command: Command, setting: Setting): string =>
  command.options.find(({ long }) => long === `--${nameOf(setting)}`)?.attributeName() ?? "";

function treeOfFlag(setting: Setting, value: unknown, faults: Fault[]): Tree {
  const texts = Array.isArray(value) ? value.map(String) : [setting.word ?? String(value)];
  if (setting.tree === undefined) return treeOf(isList(setting) ? texts : texts[0]);
  const tree = setting.tree(texts);
  if (tree.is !== "none") return tree;
  faults.push({ path: setting.field.join("."), message: `"${texts.join(" ")}" cannot be read` });
  return tree;
}

function withField(tree: Tree, field: readonly string[], value: Tree | undefined): Tree {
  const [key, ...below] = field;
  if (key === undefined) return value ?? { is: "none" };
  const entries = tree.is === "map" ? tree.entries : [];
  const others = entries.filter((entry) => entry.key !== key);
  if (below.length === 0)
    return { is: "map", entries: value === undefined ? others : [...others, { key, value }] };
  const inner = entries.find((entry) => entry.key === key)?.value ?? { is: "none" };
  if (value === undefined && inner.is === "none") return tree;
  return { is: "map", entries: [...others, { key, value: withField(inner, below, value) }] };
}

function faultText({ path, message }: Fault, settings: readonly Setting[]): string {
  const setting = settings.find(({ field }) => {
    const own = field.join(".");
    return path === own || path.startsWith(`${own}.`) || path.startsWith(`${own}[`);
  });
  if (setting === undefined) return path === "" ? message : `${path}: ${message}`;
  const rest = path.slice(setting.field.join(".").length);
  const item = /^\[(\d+)\]\.?/.exec(rest);
  const where = item === null ? rest.replace(/^\./, "") : rest.slice(item[0].length);
  return [`--${nameOf(setting)}`, where, message].filter((part) => part !== "").join(": ");
}

/** `deny: from-vnic, protocol: tcp`, with or without the braces of a domain file. */
export function rules(texts: readonly string[]): Tree {
  const items = texts.map((text) => {
    const { tree, faults } = readYaml(text.trim().startsWith("{") ? text : `{ ${text} }`);
    return faults.length > 0 ? undefined : tree;
  });
  const read = items.filter((item) => item !== undefined);
  return read.length < items.length ? { is: "none" } : { is: "list", items: read };
}

/** `<vn>`, `<vn>=<mac>`, `<vn>=<mac>,<ip>,…`, each of them again and again. */
export function addresses(texts: readonly string[]): Tree {
  const vns = new Map<string, Map<string, string[]>>();
  for (const text of texts) {
    const at = text.lastIndexOf("=");
    const [vn, list] = at < 0 ? [text, ""] : [text.slice(0, at), text.slice(at + 1)];
    const [mac = "", ...ips] = list.split(",");
    const macs = vns.get(vn) ?? new Map<string, string[]>();
    vns.set(vn, macs);
    if (at >= 0) macs.set(mac, [...(macs.get(mac) ?? []), ...ips]);
  }
  const entries = [...vns].map(([key, macs]) => ({
    key,
    value: treeOf(Object.fromEntries(macs)),
  }));
  return { is: "map", entries };
}
