import { Refused } from "@nve/program/errors";
import { toJson } from "@nve/program/output";
import { textArgument } from "@nve/program/program";
import { call } from "@nve/program/rpc";
import {
  ApplyRequest,
  type ApplyResponse,
  type NorthboundClient,
} from "@nve/protocol-spec/proto/northbound";
import { Command } from "commander";
import type { Declared } from "../domain/domain.ts";
import { domainPlain, domainYaml, faultText, parseDomain, placeText } from "../domain/file.ts";
import type { Placed } from "../domain/read.ts";
import { nameText } from "../domain/text.ts";
import { type Change, changesOf, differenceLines, isSame } from "./difference.ts";
import { ask, asking, type Common, type Outside } from "./outside.ts";
import { isAborted, readDeclared } from "./resources.ts";
import { toResource, wireKind } from "./wire.ts";
import { inUsersWords } from "./words.ts";

type Apply = Common & {
  file: string;
  yes: boolean;
  dryRun: boolean;
  prune: boolean;
  force: boolean;
  detailedExitcode: boolean;
};

/** 10,000 things are decided and stored in one piece. */
const APPLY_MS = 120_000;
/** What one message may have at the NVA. */
const MAX_OCTETS = 8 * 1024 * 1024;
/** Of the faults of a file; there may be as many as lines. */
const MAX_FAULTS = 50;

export function applyCommand(outside: Outside): Command {
  return asking(new Command("apply"))
    .description("make it so as a domain file says; shows the difference first, and asks")
    .requiredOption(
      "-f, --file <file>",
      "domain file (docs/nva-domain.md); - for the standard input",
    )
    .option("-y, --yes", "do it without asking", false)
    .option("--dry-run", "show the difference only", false)
    .option("--prune", "also delete what is there and not in the file", false)
    .option("--force", "also where VNICs are attached: they are disconnected", false)
    .option("--detailed-exitcode", "exit code 2 when something differs, 0 when nothing does", false)
    .action((options: Apply) => ask(outside, options, (nva) => apply(outside, nva, options)))
    .addHelpText("after", examples);
}

async function apply(outside: Outside, nva: NorthboundClient, options: Apply): Promise<void> {
  const placed = await readDomainFile(outside, options);
  const request = requestOf(
    placed.map(({ declared }) => declared),
    options,
  );
  const planned = await call(nva, nva.apply, { ...request, dryRun: true }, APPLY_MS).catch(
    (error: unknown) => {
      throw inFile(error, options.file, placed);
    },
  );
  const changes = changesOf(planned);
  const show = (answer: ApplyResponse, applied: boolean): void => {
    const { unchanged, revision } = answer;
    if (options.json) outside.print(toJson({ changes, unchanged, revision, applied }));
  };
  if (!options.json)
    for (const line of differenceLines(changes, planned.unchanged)) outside.print(line);
  if (options.detailedExitcode && changes.length > 0) outside.exitWith(2);
  if (options.dryRun || changes.length === 0) return show(planned, false);
  if (!(await isWanted(outside, options))) {
    outside.exitWith(1);
    outside.note("nothing was done");
    return show(planned, false);
  }
  const done = await applyShown(nva, asShown(request, planned), planned, changes);
  show(done, true);
  if (!options.json) outside.print(`done at revision ${done.revision}`);
}

/** With the names and numbers that the NVA has chosen for new VNs: so it chooses no others. */
function asShown(request: ApplyRequest, { changes }: ApplyResponse): ApplyRequest {
  const made = new Map(
    changes.flatMap(({ key, before, after }) =>
      key?.kind === wireKind("vn") && before === undefined && after !== undefined
        ? [[key.key, after.of]]
        : [],
    ),
  );
  const resources = request.resources.map((one) => {
    const of = one.of?.$case === "vn" ? made.get(one.key?.key ?? "") : undefined;
    return of === undefined ? one : { ...one, of };
  });
  return { ...request, resources };
}

/**
 * Does what was shown and nothing else. Where something has changed since, it looks whether the same would still be done.
 * @throws Refused when it would not
 */
async function applyShown(
  nva: NorthboundClient,
  request: ApplyRequest,
  planned: ApplyResponse,
  shown: readonly Change[],
): Promise<ApplyResponse> {
  let { revision: expected } = planned;
  for (let tries = 5; ; tries--) {
    try {
      return await call(nva, nva.apply, { ...request, expected }, APPLY_MS);
    } catch (error) {
      if (!isAborted(error)) throw error;
      const again = await call(nva, nva.apply, { ...request, dryRun: true }, APPLY_MS);
      if (tries > 0 && isSame(shown, changesOf(again))) expected = again.revision;
      else throw new Refused(meanwhile, { cause: error });
    }
  }
}

const meanwhile =
  "what is declared has changed since the difference was shown: nothing was done. Run it again to see the difference as it is now";

async function isWanted(outside: Outside, { yes, json, file }: Apply): Promise<boolean> {
  if (yes) return true;
  // The answer cannot come from where the file came from.
  const answer = json || file === "-" ? undefined : await outside.confirm("Make it so?");
  if (answer !== undefined) return answer;
  throw new Refused(
    "nothing was done: nobody is there to be asked; say --yes to do it, or --dry-run",
  );
}

function requestOf(declared: readonly Declared[], { prune, force }: Apply): ApplyRequest {
  const resources = declared.map(toResource);
  const request = ApplyRequest.fromPartial({ prune, force });
  request.resources = resources;
  const octets = ApplyRequest.encode(request).finish().length;
  if (octets < MAX_OCTETS) return request;
  throw new Refused(
    `the domain comes to ${octets} octets, and the NVA takes ${MAX_OCTETS} at once: make it several files, and apply them without --prune`,
  );
}

/** @throws Refused that names all faults of the file, with their places */
async function readDomainFile(
  outside: Outside,
  { file, prune }: Apply,
): Promise<readonly Placed[]> {
  const text = await outside.read(file);
  // What was to write it may have failed.
  if (prune && text.trim() === "")
    throw new Refused(
      `${nameOf(file)} is empty, and --prune would delete all there is: if that is meant, let it say {}`,
    );
  const outcome = parseDomain(text);
  if (!("faults" in outcome)) return outcome;
  const { faults } = outcome;
  const more = faults.length > MAX_FAULTS ? [`and ${faults.length - MAX_FAULTS} more`] : [];
  const lines = [...faults.slice(0, MAX_FAULTS).map(faultText), ...more];
  throw new Refused([`${nameOf(file)}:`, ...lines.map((line) => `  ${line}`)].join("\n"));
}

const nameOf = (file: string): string => (file === "-" ? "standard input" : file);

/** What the NVA says of `resources[7]` (northbound.proto), said of the place in the file. */
function inFile(error: unknown, file: string, placed: readonly Placed[]): unknown {
  if (!(error instanceof Refused) || !error.message.includes("resources[")) return error;
  const lines = inUsersWords(error.message)
    .split("\n")
    .map((line) =>
      line.replace(/^resources\[(\d+)\] \((.*?)\): /, (all, index: string, name: string) => {
        const at = placed[Number(index)]?.at;
        return at === undefined ? all : `${placeText(at)}: ${name}: `;
      }),
    );
  const text = [`${nameOf(file)}:`, ...lines.map((line) => `  ${line}`)].join("\n");
  return new Refused(text, { cause: error });
}

type Export = Common & { tenant?: string };

export function exportCommand(outside: Outside): Command {
  return asking(new Command("export"))
    .description("print all that is declared as a domain file; `nva apply` of it changes nothing")
    .option(
      "--tenant <tenant>",
      "this tenant, its VNs, their profiles, VNICs and bindings",
      textArgument(nameText),
    )
    .action(async (options: Export) => {
      const all = await ask(outside, options, (nva) => readDeclared(nva, options.tenant));
      const some = options.tenant === undefined ? all : ofTenant(all, options.tenant);
      if (options.json) outside.print(toJson(domainPlain(some)));
      else outside.print(domainYaml(some).trimEnd());
    })
    .addHelpText("after", "\nExamples:\n  nva export > domain.yaml\n  nva export --tenant acme");
}

/** Policies are of no tenant: they stay behind. @throws Refused when there is no such tenant */
function ofTenant(all: readonly Declared[], tenant: string): Declared[] {
  if (!all.some((one) => one.kind === "tenant" && one.value.name === tenant))
    throw new Refused(`there is no tenant ${tenant}: \`nva tenant list\` shows what there is`);
  const isOwn = (vn: string): boolean => vn.startsWith(`${tenant}/`);
  const profiles = new Set(
    all.flatMap((one) => (one.kind === "vn" && isOwn(one.value.vn) ? [one.value.profile] : [])),
  );
  const belongs = (one: Declared): boolean => {
    switch (one.kind) {
      case "tenant":
        return one.value.name === tenant;
      case "profile":
        return profiles.has(one.value.name);
      case "vnic":
        return one.value.vns.some(({ vn }) => isOwn(vn));
      case "policy":
        return false;
      default:
        return isOwn(one.value.vn);
    }
  };
  return all.filter(belongs);
}

const examples = `
Examples:
  nva apply -f domain.yaml
  nva apply -f domain.yaml --dry-run --detailed-exitcode
  nva export | nva apply -f - --yes`;
