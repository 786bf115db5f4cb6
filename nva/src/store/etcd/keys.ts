import { checked, Refused } from "@nve/program";
import { Uuid } from "@nve/protocol-spec";
import { z } from "zod";
import { type RowChange, type Table, tables } from "../store.ts";

/**
 * Where what is, below the prefix:
 *
 *   meta                 the commit that counts: whoever puts it has committed
 *   row/<table>/<key>    revision of the commit, a space, the value
 *   log/<revision>       of each commit that is remembered; its mod_revision is where a watch begins
 *   staged/<rev>/<part>  what one transaction of etcd does not hold (128 operations)
 *   writer               the replica that decides, while its lease lives
 */
export class Keys {
  readonly prefix: string;
  readonly meta: Buffer;
  readonly writer: Buffer;
  readonly #row: string;

  constructor(prefix: string) {
    this.prefix = `${prefix}/`;
    this.meta = Buffer.from(`${this.prefix}meta`);
    this.writer = Buffer.from(`${this.prefix}writer`);
    this.#row = `${this.prefix}row/`;
  }

  row(table: Table, key: string): Buffer {
    return Buffer.from(`${this.#row}${table}/${key}`);
  }

  log(revision: number): Buffer {
    return Buffer.from(`${this.prefix}log/${String(revision).padStart(16, "0")}`);
  }

  staged(revision: number, part?: number): Buffer {
    const folder = `${this.prefix}staged/${revision}/`;
    return Buffer.from(part === undefined ? folder : folder + String(part).padStart(6, "0"));
  }

  get allStaged(): Buffer {
    return Buffer.from(`${this.prefix}staged/`);
  }

  /** What `row` was made of; `undefined` for any other key. */
  rowOf(key: Buffer): { table: Table; key: string } | undefined {
    const text = key.toString("latin1");
    if (!text.startsWith(this.#row)) return undefined;
    const slash = text.indexOf("/", this.#row.length);
    const table = tables.find((name) => name === text.slice(this.#row.length, slash));
    return table === undefined ? undefined : { table, key: text.slice(slash + 1) };
  }
}

const format = 1;

const metaSchema = z.strictObject({
  format: z.literal(format),
  id: z.string().transform(checked(Uuid)),
  revision: z.number().int().nonnegative(),
  /** The oldest commit that is remembered. */
  oldest: z.number().int().nonnegative(),
  /** Which commit of which process: tells after a lost answer whether it was ours. */
  by: z.string(),
  /** Parts in which it is staged: it counts, and its rows are not all in their places yet. */
  staged: z.number().int().positive().optional(),
});
export type Meta = z.infer<typeof metaSchema>;

export const firstMeta = (id: Uuid): Meta => ({ format, id, revision: 0, oldest: 1, by: "" });
export const metaOctets = (meta: Meta): Buffer => Buffer.from(JSON.stringify(meta));

/** @throws Refused */
export function readMeta(octets: Buffer, where: string): Meta {
  const found = json(octets);
  const meta = metaSchema.safeParse(found);
  if (meta.success) return meta.data;
  const other =
    typeof found === "object" && found !== null && "format" in found && found.format !== format;
  throw new Refused(
    other
      ? `${where} holds a store of format ${found.format}, this program reads ${format}: use the program that made it, or another prefix`
      : `${where} holds something that is no store of this program: use another prefix`,
  );
}

export const rowOctets = (revision: number, value: string): Buffer =>
  Buffer.from(`${revision} ${value}`);

export function readRow(octets: Buffer): { revision: number; value: string } {
  const space = octets.indexOf(0x20);
  const revision = Number(octets.toString("latin1", 0, space));
  return { revision, value: octets.toString("utf8", space + 1) };
}

/** @throws Error for what this program has not written */
export function readPart(octets: Buffer): RowChange[] {
  const found = partSchema.safeParse(json(octets));
  if (!found.success) throw new Error("the store is damaged: a staged part of a commit");
  return found.data.map(([table, key, value]) => ({
    table,
    key,
    ...(value !== null && { value }),
  }));
}

export const partOctets = (changes: readonly RowChange[]): Buffer =>
  Buffer.from(JSON.stringify(changes.map(({ table, key, value }) => [table, key, value ?? null])));

const partSchema = z.array(z.tuple([z.enum(tables), z.string(), z.string().nullable()]));

function json(octets: Buffer): unknown {
  try {
    return JSON.parse(octets.toString());
  } catch {
    return undefined;
  }
}
