import { checked, Refused } from "@nve/program";
import { HypervisorId, IpAddress, IpPrefix, Mac, NveId, Uuid, VnId, Vni } from "@nve/protocol-spec";
import { z } from "zod";
import type { Change, Source, Tables } from "../authority/records.ts";
import type { Row, RowChange, Store, Table } from "./store.ts";

// How rows look in a store: JSON. What is read back is checked like any other input.
const vnId = z.number().transform(checked(VnId));
const mac = z.string().transform(checked(Mac));
const nveId = z.string().transform(checked(NveId));
const uuid = z.string().transform(checked(Uuid));
const ip = z.string().transform(checked(IpAddress));
const prefix = z.string().transform(checked(IpPrefix));
const count = z.number().int().nonnegative();

const vn = z.strictObject({
  vnId,
  name: uuid,
  alias: z.string(),
  vni: z.number().transform(checked(Vni)),
  tenant: z.string(),
  service: z.enum(["l2", "l3"]),
  mtu: count,
  flood: z.enum(["head-end", "multicast"]),
});
const nve = z.strictObject({
  location: z.strictObject({
    nveId,
    vteps: z.array(ip),
    encapsulations: z.array(z.enum(["vxlan", "nvgre", "mpls-over-gre"])),
  }),
  incarnation: uuid,
  connected: z.boolean(),
});
const member = z.strictObject({ vnId, nveId });
const claim = z
  .strictObject({
    vnId,
    mac,
    ips: z.array(prefix),
    vnic: uuid.optional(),
    hypervisor: z.string().transform(checked(HypervisorId)).optional(),
    port: z.string().optional(),
    sequence: count,
    sticky: z.boolean(),
    anycast: z.boolean(),
    suspended: z.boolean(),
    gleaned: z.literal(true).optional(),
    source: z.templateLiteral([z.enum(["static", "nve:"]), z.string()]),
    nveId,
  })
  .transform(({ vnic, hypervisor, port, source, gleaned, ...rest }) => ({
    ...rest,
    source: source as Source,
    ...(vnic === undefined ? {} : { vnic }),
    ...(hypervisor === undefined ? {} : { hypervisor }),
    ...(port === undefined ? {} : { port }),
    ...(gleaned === undefined ? {} : { gleaned }),
  }));
const history = z.strictObject({ vnId, mac, sequence: count });

/** Everything that a store holds. @throws Refused that names a row which is not as it was written */
export async function loadTables(store: Store): Promise<Tables> {
  const vns: { row: z.infer<typeof vn>; revision: number }[] = [];
  for await (const row of store.list("vn"))
    vns.push({ row: parsed("vn", vn, row), revision: row.revision });
  return {
    vn: vns,
    nve: await all(store, "nve", nve),
    member: await all(store, "member", member),
    claim: await all(store, "claim", claim),
    history: await all(store, "history", history),
  };
}

export const rowChange = ({ table, key, row }: Change): RowChange =>
  row === undefined ? { table, key } : { table, key, value: JSON.stringify(row) };

async function all<T>(store: Store, table: Table, schema: z.ZodType<T>): Promise<T[]> {
  const rows: T[] = [];
  for await (const row of store.list(table)) rows.push(parsed(table, schema, row));
  return rows;
}

function parsed<T>(table: Table, schema: z.ZodType<T>, { key, value }: Row): T {
  const outcome = schema.safeParse(json(value));
  if (outcome.success) return outcome.data;
  const why = outcome.error.issues.map(({ path, message }) => `${path.join(".")}: ${message}`);
  throw new Refused(
    `the store is damaged: row "${key}" of table ${table} (${why.join("; ")}). Restore a backup, or begin with an empty folder`,
  );
}

function json(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}
