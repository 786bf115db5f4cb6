// Writes docs/conformance.md: requirement -> tests that name it, and clause -> tests that docs/clauses.yaml names. `--check` compares instead, exit 1 when it differs.
//
// A requirement is met by a test under test/lab, test/interop or test/kernel, where interface, kernel and peer are real;
// tests elsewhere (unit, simulation) are listed as support.
import { readdirSync, readFileSync, writeFileSync } from "node:fs";
import { basename, join, relative } from "node:path";
import { parse } from "yaml";

const root = join(import.meta.dirname ?? new URL(".", import.meta.url).pathname, "..");
const page = join(root, "docs/conformance.md");
const REAL = ["test/lab/", "test/interop/", "test/kernel/"];
const TITLE = /\b(?:test|it)(?:\.each\([\s\S]*?\))?\(\s*(["'`])((?:(?!\1)[\s\S]|\\\1)*?)\1\s*,/g;
const IDS = /^((?:[HAPMV]|Req-)\d+(?:, (?:[HAPMV]|Req-)\d+)*)[:,]/;

/** Of a clause, as clauses.yaml says it and as the page does. */
const STATES = { met: "met", part: "in part", out: "left out" };

const requirements = readRequirements(readFileSync(join(root, "docs/requirements.md"), "utf8"));
const tests = testFiles(join(root, "test")).flatMap(titlesOf);
const clauses = parse(readFileSync(join(root, "docs/clauses.yaml"), "utf8"));
const text = render();

if (process.argv.includes("--check")) {
  if (text !== readFileSync(page, "utf8")) {
    process.stderr.write(
      "docs/conformance.md is not what the test names say: run `npm run conformance` and commit it\n",
    );
    process.exit(1);
  }
  process.stdout.write("docs/conformance.md agrees with the test names\n");
} else {
  writeFileSync(page, text);
}

function readRequirements(markdown) {
  return [...markdown.matchAll(/^\| ([HAPMV]\d+) \| (.*?) \| /gm)].map(([, id, says]) => ({
    id,
    says,
  }));
}

function testFiles(folder) {
  return readdirSync(folder, { withFileTypes: true })
    .sort((a, b) => a.name.localeCompare(b.name))
    .flatMap((entry) => {
      const at = join(folder, entry.name);
      if (entry.isDirectory()) return testFiles(at);
      return entry.name.endsWith(".test.ts") ? [at] : [];
    });
}

function titlesOf(file) {
  const where = relative(root, file);
  const real = REAL.some((r) => where.startsWith(r));
  return [...readFileSync(file, "utf8").matchAll(TITLE)].map(([, , text]) => {
    const title = text.replace(/\s+/g, " ");
    return { ids: IDS.exec(title)?.[1]?.split(", ") ?? [], title, where, real };
  });
}

function render() {
  const met = requirements.filter(({ id }) => tests.some((t) => t.ids.includes(id) && t.real));
  const unknown = [...new Set(tests.flatMap(({ ids }) => ids))].filter(
    (id) =>
      !requirements.some((r) => r.id === id) &&
      !clauses.some(({ rows }) => rows.some((row) => row.id === id)),
  );
  if (unknown.length > 0)
    throw new Error(`tests name requirements that do not exist: ${unknown.join(", ")}`);
  return [
    "# Conformance",
    "",
    "Generated from the names of the tests by `npm run conformance`; not edited. A requirement of",
    "[requirements.md](requirements.md) counts as met when a test that names it passes against real interfaces, the kernel's",
    "dataplane and real peers. *Support* are unit tests and simulations that name it too.",
    "",
    `${met.length} of ${requirements.length} requirements have such a test.`,
    "",
    "| ID | requirement | met by | support |",
    "|---|---|---|---|",
    ...requirements.map(row),
    "",
    "# The protocols on the access link, clause by clause",
    "",
    "Our state of each clause of LLDP/EVB, ECP and VDP, of RFC 8394's requirements and of what else its text expects, from",
    "[clauses.yaml](clauses.yaml). The pages under [spec/](spec/README.md) say each clause to the octet, and what it rests on.",
    "",
    ...clauses.flatMap(part),
  ].join("\n");
}

function row({ id, says }) {
  const of = (real) => tests.filter((t) => t.ids.includes(id) && t.real === real);
  const met = of(true).map(cite);
  return `| ${id} | ${says} | ${met.join("<br>") || "–"} | ${of(false).length || "–"} |`;
}

function part({ part: title, rows }) {
  return [
    `## ${title}`,
    "",
    "| clause | says | state | tests |",
    "|---|---|---|---|",
    ...rows.map(clause),
    "",
  ];
}

function clause({ id, says, state = "met", note, tests: named = {} }) {
  const found = Object.entries(named).flatMap(([file, titles]) =>
    titles.map((title) => {
      const test = tests.find(
        ({ where, title: is }) => basename(where) === `${file}.test.ts` && is === title,
      );
      if (test === undefined)
        throw new Error(`clause ${id}: no test "${title}" in ${file}.test.ts`);
      return test;
    }),
  );
  found.push(...tests.filter((t) => t.real && t.ids.includes(id) && !found.includes(t)));
  if (STATES[state] === undefined) throw new Error(`clause ${id}: no state "${state}"`);
  if (state !== "met" && note === undefined) throw new Error(`clause ${id}: ${state}, and why?`);
  if (state !== "out" && found.length === 0)
    throw new Error(`clause ${id}: ${state} without a test`);
  const how = note === undefined ? STATES[state] : `${STATES[state]}: ${note}`;
  return `| ${id} | ${says} | ${how} | ${found.map(cite).join("<br>") || "–"} |`;
}

function cite({ title, where }) {
  return `${title.replaceAll("|", "\\|")} ([${basename(where)}](../${where}))`;
}
