// Writes docs/conformance.md: requirement -> tests that name it. `--check` compares instead, exit 1 when it differs.
//
// A requirement is met by a test under test/lab, test/interop or test/kernel, where interface, kernel and peer are real;
// tests elsewhere (unit, simulation) are listed as support.
import { readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join, relative } from "node:path";

const root = join(import.meta.dirname ?? new URL(".", import.meta.url).pathname, "..");
const page = join(root, "docs/conformance.md");
const REAL = ["test/lab/", "test/interop/", "test/kernel/"];
const TITLE = /\b(?:test|it)(?:\.each\([\s\S]*?\))?\(\s*(["'`])((?:(?!\1)[\s\S]|\\\1)*?)\1\s*,/g;
const IDS = /^((?:[HAPMV]\d+)(?:, [HAPMV]\d+)*)[:,]/;

const requirements = readRequirements(readFileSync(join(root, "docs/requirements.md"), "utf8"));
const tests = testFiles(join(root, "test")).flatMap(titlesOf);
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
  return [...readFileSync(file, "utf8").matchAll(TITLE)].flatMap(([, , title]) => {
    const ids = IDS.exec(title)?.[1]?.split(", ") ?? [];
    return ids.map((id) => ({
      id,
      title: title.replace(/\s+/g, " "),
      where,
      real: REAL.some((r) => where.startsWith(r)),
    }));
  });
}

function render() {
  const met = requirements.filter(({ id }) => tests.some((t) => t.id === id && t.real));
  const unknown = [...new Set(tests.map(({ id }) => id))].filter(
    (id) => !requirements.some((r) => r.id === id),
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
  ].join("\n");
}

function row({ id, says }) {
  const of = (real) => tests.filter((t) => t.id === id && t.real === real);
  const met = of(true).map(
    ({ title, where }) =>
      `${title.replaceAll("|", "\\|")} ([${where.split("/").at(-1)}](../${where}))`,
  );
  return `| ${id} | ${says} | ${met.join("<br>") || "–"} | ${of(false).length || "–"} |`;
}
