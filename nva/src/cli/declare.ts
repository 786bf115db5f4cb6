import { Refused } from "@nve/program/errors";
import { type Column, show, showOne } from "@nve/program/output";
import { textArgument } from "@nve/program/program";
import { call } from "@nve/program/rpc";
import { OutOfRange } from "@nve/protocol-spec/errors";
import type { NorthboundClient } from "@nve/protocol-spec/proto/northbound";
import { type Command, InvalidArgumentError } from "commander";
import type { Declared, DeclaredOf, Kind } from "../domain/domain.ts";
import type { Input } from "../domain/input.ts";
import { type PlainMap, plainOf } from "../domain/plain.ts";
import { nameText } from "../domain/text.ts";
import { treeOf } from "../domain/tree.ts";
import { showFields } from "./fields.ts";
import { ask, asking, type Common, type Outside, outputOf } from "./outside.ts";
import { isAborted, put, type Revised, readAll, readOne } from "./resources.ts";
import { isAnySet, type Setting, settle, withClear, withSettings } from "./settings.ts";
import { wireKind } from "./wire.ts";

/** What is particular to the commands of one kind of what administrators declare. */
export type Declaring<K extends Kind> = {
  kind: K;
  /** As in "no tenants". */
  plural: string;
  /** What names one: the arguments of all commands but `list`. */
  names: readonly { argument: string; says: string }[];
  /** The names as the NVA has them, of what was written. @throws OutOfRange */
  key: (nva: NorthboundClient, names: readonly string[]) => Promise<string> | string;
  settings: readonly Setting[];
  read: (key: string, input: Input) => DeclaredOf<K> | undefined;
  /** The names again, as fields beside the others. */
  named: (value: DeclaredOf<K>) => PlainMap;
  table: readonly Column<Revised<K>>[];
  isOfTenant?: boolean;
  /** How `list` sorts them; else as the NVA does, by key. */
  order?: (a: DeclaredOf<K>, b: DeclaredOf<K>) => number;
};

type Expecting = Common & { expect?: bigint };

/** In sentences. */
const nounOf = (kind: Kind): string =>
  kind === "vn" || kind === "vnic" ? kind.toUpperCase() : kind;

/** `create`, `update`, `delete`, `list` and `show` of one kind. */
export function declareCommands<K extends Kind>(
  parent: Command,
  outside: Outside,
  kind: Declaring<K>,
): Command {
  createCommand(parent, outside, kind);
  updateCommand(parent, outside, kind);
  deleteCommand(parent, outside, kind);
  listCommand(parent, outside, kind);
  showCommand(parent, outside, kind);
  return parent;
}

function createCommand<K extends Kind>(parent: Command, outside: Outside, of: Declaring<K>): void {
  const command = asking(withNames(parent.command("create"), of));
  withSettings(command, of.settings)
    .description(`create a ${nounOf(of.kind)}`)
    .action(async (...given: unknown[]) => {
      const options = command.opts<Common>();
      const made = await ask(outside, options, async (nva) => {
        const key = await keyIn(command, nva, of, given);
        const value = settle(command, of.settings, { is: "none" }, (input) => of.read(key, input));
        return put(nva, of.kind, value, 0n).catch((error: unknown) => {
          if (!isAborted(error)) throw error;
          throw new Refused(
            `there is a ${nounOf(of.kind)} ${key} already: \`nva ${of.kind} update\` changes it`,
            { cause: error },
          );
        });
      });
      showRevised(of, made, outside, options);
    });
}

function updateCommand<K extends Kind>(parent: Command, outside: Outside, of: Declaring<K>): void {
  const command = asking(withNames(parent.command("update"), of));
  withClear(expecting(withSettings(command, of.settings)), of.settings)
    .description(`change what is given of a ${nounOf(of.kind)} and keep the rest`)
    .action(async (...given: unknown[]) => {
      const options = command.opts<Expecting>();
      const made = await ask(outside, options, async (nva) => {
        const key = await keyIn(command, nva, of, given);
        return change(command, nva, of, key, options.expect);
      });
      showRevised(of, made, outside, options);
    });
}

/** Reads, changes what the flags say, and puts it back if nobody else has changed it in between. */
export async function change<K extends Kind>(
  command: Command,
  nva: NorthboundClient,
  of: Pick<Declaring<K>, "kind" | "settings" | "read">,
  key: string,
  expect: bigint | undefined,
  isRenamed = false,
): Promise<Revised<K>> {
  needChange(command, of.settings, isRenamed);
  const { value, revision } = await readOne(nva, of.kind, key);
  const before = treeOf(plainOf({ kind: of.kind, value } as Declared));
  const after = settle(command, of.settings, before, (input) => of.read(key, input));
  try {
    return await put(nva, of.kind, after, expect ?? revision, key);
  } catch (error) {
    throw changedMeanwhile(error);
  }
}

/** A usage error when nothing is to be changed, or one thing in two ways. */
export function needChange(
  command: Command,
  settings: readonly Setting[],
  isRenamed: boolean,
): void {
  if (!isAnySet(command, settings) && !isRenamed)
    command.error("error: nothing is to be changed: say what (--help)", { exitCode: 2 });
}

/** The NVA says that it is not as expected: nothing was done then. Any other error as it is. */
export function changedMeanwhile(error: unknown): unknown {
  if (!isAborted(error) || !(error instanceof Refused)) return error;
  return new Refused(`nothing was done: ${error.message}`, { cause: error });
}

function deleteCommand<K extends Kind>(parent: Command, outside: Outside, of: Declaring<K>): void {
  const command = asking(withNames(parent.command("delete"), of));
  expecting(command)
    .description(`delete a ${nounOf(of.kind)}; refused while others refer to it`)
    .option("--force", "also while others refer to it: they go with it", false)
    .action(async (...given: unknown[]) => {
      const options = command.opts<Expecting & { force: boolean }>();
      const { expect: expected, force } = options;
      const [key, revision] = await ask(outside, options, async (nva) => {
        const name = await keyIn(command, nva, of, given);
        const request = { key: { kind: wireKind(of.kind), key: name }, force, expected };
        try {
          return [name, (await call(nva, nva.deleteResource, request)).revision] as const;
        } catch (error) {
          throw changedMeanwhile(error);
        }
      });
      showOne({ deleted: key, revision }, outputOf(outside, options));
    });
}

function listCommand<K extends Kind>(parent: Command, outside: Outside, of: Declaring<K>): void {
  const command = asking(parent.command("list")).description(`all ${of.plural}`);
  if (of.isOfTenant)
    command.option("--tenant <tenant>", "of this tenant only", textArgument(nameText));
  command.action(async (options: Common & { tenant?: string }) => {
    const all = await ask(outside, options, (nva) => readAll(nva, of.kind, options.tenant));
    const { order } = of;
    if (order !== undefined) all.sort((a, b) => order(a.value, b.value));
    const output = outputOf(outside, options);
    const none = `no ${of.plural}${options.tenant === undefined ? "" : ` of tenant ${options.tenant}`}`;
    if (output.json)
      show(
        all.map((one) => recordOf(of, one)),
        [],
        output,
      );
    else show(all, of.table, output, none);
  });
}

function showCommand<K extends Kind>(parent: Command, outside: Outside, of: Declaring<K>): void {
  const command = asking(withNames(parent.command("show"), of)).description(
    `one ${nounOf(of.kind)}`,
  );
  command.action(async (...given: unknown[]) => {
    const options = command.opts<Common>();
    const found = await ask(outside, options, async (nva) =>
      readOne(nva, of.kind, await keyIn(command, nva, of, given)),
    );
    showRevised(of, found, outside, options);
  });
}

function withNames<K extends Kind>(command: Command, { names }: Declaring<K>): Command {
  for (const { argument, says } of names) command.argument(`<${argument}>`, says);
  return command;
}

export const expecting = (command: Command): Command =>
  command.option("--expect <revision>", "only if this is its revision", revision);

export function revision(text: string): bigint {
  if (/^\d{1,19}$/.test(text)) return BigInt(text);
  throw new InvalidArgumentError(`"${text}" is not a revision: a whole number, as \`show\` tells`);
}

/** What commander hands to an action begins with the arguments. */
async function keyIn<K extends Kind>(
  command: Command,
  nva: NorthboundClient,
  of: Declaring<K>,
  given: readonly unknown[],
): Promise<string> {
  try {
    return await of.key(nva, given.slice(0, of.names.length).map(String));
  } catch (error) {
    if (error instanceof OutOfRange) command.error(`error: ${error.message}`, { exitCode: 2 });
    throw error;
  }
}

function recordOf<K extends Kind>(of: Declaring<K>, one: Revised<K>): PlainMap {
  const fields = plainOf({ kind: of.kind, value: one.value } as Declared);
  const { revision, note } = one;
  return {
    ...of.named(one.value),
    ...fields,
    revision: Number(revision),
    ...(note !== "" && { note }),
  };
}

function showRevised<K extends Kind>(
  of: Declaring<K>,
  one: Revised<K>,
  outside: Outside,
  options: Common,
): void {
  const output = outputOf(outside, options);
  const record = recordOf(of, one);
  if (output.json) showOne(record, output);
  else showFields(record, output.print);
}
