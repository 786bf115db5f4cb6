import { readFileSync } from "node:fs";
import { OutOfRange } from "@nve/protocol-spec/errors";
import { type Document, LineCounter, parseDocument, type YAMLParseError } from "yaml";
import { z } from "zod";
import { Refused } from "./errors.ts";

/** Reads a YAML (or JSON) file into a value. @throws Refused that names the file and all its faults at once. */
export function readConfig<T>(path: string, schema: z.ZodType<T>): T {
  let text: string;
  try {
    text = readFileSync(path, "utf8");
  } catch (error) {
    const why = error instanceof Error ? error.message : String(error);
    throw new Refused(`cannot read the config file: ${why}`, { cause: error });
  }
  return parseConfig(text, schema, path);
}

export function parseConfig<T>(text: string, schema: z.ZodType<T>, where = "config"): T {
  const lines = new LineCounter();
  const document = parseDocument(text, { lineCounter: lines });
  if (document.errors.length > 0) {
    throw faulty(where, document.errors.map(plainWords));
  }
  // An empty file is an empty object: the faults then name what is missing.
  const outcome = schema.safeParse(plainOf(document, where) ?? {}, { error: inWords });
  if (outcome.success) return outcome.data;
  throw faulty(where, outcome.error.issues.map(faultOf));

  function faultOf(issue: z.core.$ZodIssue): string {
    const path =
      issue.code === "unrecognized_keys" ? [...issue.path, issue.keys[0] ?? ""] : issue.path;
    const line = lineOf(path);
    const at = [line === undefined ? "" : `line ${line}`, issue.path.map(String).join(".")];
    const message = issue.code === "unrecognized_keys" ? unknownKeys(issue.keys) : issue.message;
    return [...at.filter((part) => part !== ""), message].join(": ");
  }

  function lineOf(path: readonly PropertyKey[]): number | undefined {
    for (let depth = path.length; depth > 0; depth--) {
      const range = rangeOf(document.getIn(path.slice(0, depth), true));
      if (range !== undefined) return lines.linePos(range).line;
    }
    return undefined;
  }
}

/** What the parser says, without the excerpt. */
function plainWords({ code, message, linePos }: YAMLParseError): string {
  if (code === "MULTIPLE_DOCS")
    return `line ${linePos?.[0].line}: a second document begins here: a file is one document`;
  return message.split("\n")[0] ?? code;
}

/** For a zod transform: text or number in, value out, OutOfRange becomes a fault with its place. */
export function checked<In, T>(make: (value: In) => T) {
  return (value: In, ctx: z.RefinementCtx): T => {
    try {
      return make(value);
    } catch (error) {
      if (!(error instanceof OutOfRange)) throw error;
      ctx.addIssue(error.message);
      return z.NEVER;
    }
  };
}

/** A fault in the words of who writes the file; undefined: as zod has it. What a schema says itself comes first. */
export function inWords(issue: z.core.$ZodRawIssue): string | undefined {
  switch (issue.code) {
    case "invalid_type":
      if (issue.input === undefined) return "is missing";
      return `is not ${KINDS[issue.expected] ?? issue.expected}`;
    case "invalid_value":
      if (issue.input === undefined) return "is missing";
      return `is not ${issue.values
        .map(String)
        .join(", ")
        .replace(/, ([^,]+)$/, " or $1")}`;
    case "too_small":
      return issue.origin === "number" ? `is less than ${issue.minimum}` : undefined;
    case "too_big":
      return issue.origin === "number" ? `is more than ${issue.maximum}` : undefined;
    case "invalid_union":
      return issue.input === undefined ? "is missing" : "is nothing that can stand here";
    default:
      return undefined;
  }
}

const KINDS: Readonly<Record<string, string>> = {
  string: "a text",
  number: "a number",
  int: "a whole number",
  boolean: "true or false",
  array: "a list: [ … ]",
  object: "a map of keys and values: { … }",
  record: "a map of keys and values: { … }",
};

const unknownKeys = (keys: readonly string[]): string =>
  `unknown key ${keys.map((key) => `"${key}"`).join(", ")}: misspelt, or in the wrong place`;

function faulty(where: string, faults: readonly string[]): Refused {
  return new Refused([`${where}:`, ...faults.map((fault) => `  ${fault}`)].join("\n"));
}

/** @throws Refused when aliases would make it grow without bound. */
function plainOf(document: Document.Parsed, where: string): unknown {
  try {
    return document.toJS({ maxAliasCount: 100 });
  } catch (error) {
    if (!(error instanceof ReferenceError)) throw error;
    throw faulty(where, [error.message]);
  }
}

function rangeOf(node: unknown): number | undefined {
  if (typeof node !== "object" || node === null || !("range" in node)) return undefined;
  const { range } = node;
  return Array.isArray(range) && typeof range[0] === "number" ? range[0] : undefined;
}
