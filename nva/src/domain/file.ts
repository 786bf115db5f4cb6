import { Document, isPair, isScalar, visit } from "yaml";
import { type Declared, type Kind, keyOf, MAX_RESOURCES } from "./domain.ts";
import { Input } from "./input.ts";
import { type Plain, type PlainMap, plainOf } from "./plain.ts";
import { type Placed, readDomain } from "./read.ts";
import type { Fault, Place } from "./tree.ts";
import { readYaml } from "./yaml.ts";

/** What a domain file declares, or all that is wrong with it, in the order of its lines. */
export function parseDomain(text: string): readonly Placed[] | { faults: readonly Fault[] } {
  const { tree, faults: first } = readYaml(text);
  const faults = [...first];
  const declared = faults.length > 0 ? [] : readDomain(new Input(tree, faults));
  if (declared.length > MAX_RESOURCES)
    faults.push({
      path: "",
      message: `${declared.length} things are more than the ${MAX_RESOURCES} that the NVA takes at once: make it several files, and apply them without --prune`,
    });
  if (faults.length === 0) return declared;
  return { faults: faults.sort((a, b) => order(a) - order(b)) };
}

const order = ({ at }: Fault): number => (at === undefined ? 0 : at.line * 1e6 + at.column);

export const faultText = ({ at, path, message }: Fault): string =>
  [...(at === undefined ? [] : [placeText(at)]), path, message]
    .filter((part) => part !== "")
    .join(": ");

export const placeText = ({ line, column }: Place): string => `line ${line}, column ${column}`;

/** The same as a value: `{ tenants: …, profiles: …, … }`, sections and entries in a fixed order, none empty. */
export function domainPlain(all: readonly Declared[]): PlainMap {
  const named = (kind: Kind): PlainMap =>
    Object.fromEntries(ordered(all, kind).map((one) => [keyOf(one), plainOf(one)]));
  const listed = (kind: "policy" | "binding"): Plain[] =>
    ordered(all, kind).map((one) => ({ ...nameOf(one), ...plainOf(one) }));
  const sections: [string, Plain][] = [
    ["tenants", named("tenant")],
    ["profiles", named("profile")],
    ["policies", listed("policy")],
    ["vns", named("vn")],
    ["vnics", named("vnic")],
    ["bindings", listed("binding")],
  ];
  return Object.fromEntries(sections.filter(([, section]) => Object.keys(section).length > 0));
}

/** By key; policies as they are asked. */
const ordered = (all: readonly Declared[], kind: Kind): Declared[] =>
  all
    .filter((one) => one.kind === kind)
    .sort((a, b) => orderOf(a) - orderOf(b) || (keyOf(a) < keyOf(b) ? -1 : 1));
const orderOf = (one: Declared): number => (one.kind === "policy" ? one.value.order : 0);

function nameOf(one: Declared): PlainMap {
  if (one.kind === "policy") return { name: one.value.name };
  return one.kind === "binding" ? { vn: one.value.vn, mac: one.value.mac } : {};
}

/** The same as a domain file: what is read from it is what was written. */
export function domainYaml(all: readonly Declared[]): string {
  const document = new Document(domainPlain(all));
  visit(document, {
    Collection: (_, node) => {
      if (isShort(node)) node.flow = true;
    },
  });
  return all.length === 0
    ? "{}\n"
    : document.toString({ lineWidth: 0, flowCollectionPadding: false });
}

/** Of scalars alone, and fits a line. */
function isShort({ items }: { items: readonly unknown[] }): boolean {
  const scalars = items.flatMap((item) => (isPair(item) ? [item.key, item.value] : [item]));
  const texts = scalars.map((one) => (isScalar(one) ? String(one.value) : undefined));
  return !texts.includes(undefined) && texts.join(", ").length <= 90;
}
