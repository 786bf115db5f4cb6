import { checked, Refused } from "@nve/program";
import { HypervisorId, IpAddress, IpPrefix, Mac, NveId, Uuid, VnId, Vni } from "@nve/protocol-spec";
import { z } from "zod";
import { eventsIn } from "../authority/event-block.ts";
import { type EventTail, recentEvents } from "../authority/events.ts";
import type { Stored } from "../authority/inventory.ts";
import type { Migration } from "../authority/migration-row.ts";
import type {
  Change,
  Claim,
  DuplicateRow,
  EventBlock,
  EventRow,
  HistoryRow,
  Revised,
  Source,
  Tables,
} from "../authority/records.ts";
import { migration } from "./migration-schema.ts";
import { plainClaim, plainHistory } from "./plain-rows.ts";
import type { Row, RowChange, Rows, Table } from "./store.ts";

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
  groups: z.array(ip).optional(),
  unknown: z.enum(["flood", "drop"]).optional(),
  suspended: z.enum(["deliver", "drop", "unreachable"]).optional(),
  admission: z.enum(["open", "registered", "strict"]).optional(),
  profile: z.string().optional(),
  duplicates: z
    .strictObject({
      moves: count,
      windowMs: count,
      action: z.enum(["warn", "freeze"]),
      freezeMs: count,
    })
    .optional(),
  description: z.string().max(1024).optional(),
});
const text = z.string().max(1024).optional();
const tenant = z.strictObject({ name: z.string(), description: text, maxVns: count.optional() });
const range = z.tuple([count, count]).readonly().optional();
const profile = z.strictObject({
  name: z.string(),
  description: text,
  acl: z.array(
    z.strictObject({
      action: z.enum(["allow", "deny"]),
      direction: z.enum(["both", "from-vnic", "to-vnic"]),
      etherType: count.optional(),
      source: prefix.optional(),
      destination: prefix.optional(),
      protocol: count.optional(),
      sourcePorts: range,
      destinationPorts: range,
    }),
  ),
  qos: z
    .strictObject({
      policeKbps: count.optional(),
      burstOctets: count.optional(),
      dscp: count.optional(),
    })
    .optional(),
  limits: z
    .strictObject({
      vnicsPerNve: count.optional(),
      macsPerVnic: count.optional(),
      ipsPerMac: count.optional(),
    })
    .optional(),
});
const patterns = z.array(z.string());
const policy = z.strictObject({
  name: z.string(),
  description: text,
  order: z.number().int(),
  deny: z.boolean(),
  vns: patterns,
  hypervisors: patterns,
  nves: patterns,
  ports: patterns,
  vnics: patterns,
  stations: patterns,
  authenticated: z.boolean(),
});
const vnic = z.strictObject({
  vnic: uuid,
  description: text,
  vns: z.array(
    z.strictObject({ vnId, macs: z.array(z.strictObject({ mac, ips: z.array(prefix) })) }),
  ),
  hypervisors: patterns,
  standby: z.strictObject({ places: patterns, revert: z.boolean() }).optional(),
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
    description: z.string().max(1024).optional(),
    departed: z.literal(true).optional(),
    station: mac.optional(),
    authenticated: z.literal(true).optional(),
    standby: z
      .strictObject({
        preference: count,
        revert: z.boolean(),
        active: z.literal(true).optional(),
        lost: z.literal(true).optional(),
      })
      .optional(),
    source: z.templateLiteral([z.enum(["static", "nve:"]), z.string()]),
    nveId,
  })
  .transform(
    ({
      vnic,
      hypervisor,
      port,
      source,
      gleaned,
      description,
      departed,
      station,
      authenticated,
      standby,
      ...rest
    }) => ({
      ...rest,
      source: source as Source,
      ...(vnic === undefined ? {} : { vnic }),
      ...(hypervisor === undefined ? {} : { hypervisor }),
      ...(port === undefined ? {} : { port }),
      ...(gleaned === undefined ? {} : { gleaned }),
      ...(description === undefined ? {} : { description }),
      ...(departed === undefined ? {} : { departed }),
      ...(station === undefined ? {} : { station }),
      ...(authenticated === undefined ? {} : { authenticated }),
      ...(standby === undefined ? {} : { standby }),
    }),
  );
const history = z.strictObject({ vnId, mac, sequence: count });
const duplicate = z.strictObject({
  vnId,
  mac,
  ip: prefix.optional(),
  moves: count,
  sinceUnixMs: count,
  untilUnixMs: count,
  frozen: z.boolean(),
  holder: z.string().optional(),
  sources: z.array(z.string()),
});
const event = z.strictObject({
  id: count,
  atUnixMs: z.number(),
  actor: z.string(),
  action: z.string(),
  object: z.string(),
  refused: z.string().optional(),
  detail: z.record(z.string(), z.unknown()).optional(),
  more: z
    .array(
      z.strictObject({
        actor: z.string().optional(),
        action: z.string().optional(),
        object: z.string().optional(),
        refused: z.union([z.string(), z.literal(false)]).optional(),
        detail: z.union([z.record(z.string(), z.unknown()), z.literal(false)]).optional(),
        gone: z.array(z.string()).optional(),
      }),
    )
    .optional(),
});

/** Everything that a store holds. @throws Refused that names a row which is not as it was written */
export async function loadTables(store: Rows): Promise<Tables> {
  const claims: Claim[] = [];
  const bindings: Revised<Claim>[] = [];
  for await (const stored of store.list("claim")) {
    const row = rowOf("claim", stored) as Claim;
    if (row.source === "static") bindings.push({ row, revision: stored.revision });
    else claims.push(row);
  }
  const histories: HistoryRow[] = [];
  for await (const stored of store.list("history"))
    histories.push(rowOf("history", stored) as HistoryRow);
  return {
    vn: await revised(store, "vn", vn),
    nve: await all(store, "nve", nve),
    member: await all(store, "member", member),
    claim: claims,
    binding: bindings,
    history: histories,
    tenant: await revised(store, "tenant", tenant),
    profile: await revised(store, "profile", profile),
    policy: await revised(store, "policy", policy),
    vnic: await revised(store, "vnic", vnic),
    revision: store.revision,
    duplicate: (await all(store, "duplicate", duplicate)) as DuplicateRow[],
    migration: (await revised(store, "migration", migration)) as Revised<Migration>[],
    events: await eventTail(store),
  };
}

/** The newest events; of the others only where their blocks begin. */
async function eventTail(store: Rows): Promise<EventTail> {
  const blocks: number[] = [];
  const newest: Row[] = [];
  for await (const row of store.list("event")) {
    const first = Number(row.key);
    blocks.push(first);
    newest.push(row);
    while (newest[1] !== undefined && first - Number(newest[1].key) >= recentEvents) newest.shift();
  }
  return { blocks, recent: newest.flatMap(eventsOf) };
}

/** Those of a block. @throws Refused when it is not as it was written */
export function eventsOf(row: Row): Revised<EventRow>[] {
  const { revision } = row;
  return eventsIn(parsed("event", event, row) as EventBlock).map((one) => ({ row: one, revision }));
}

export const rowChange = ({ table, key, row }: Change): RowChange =>
  row === undefined ? { table, key } : { table, key, value: JSON.stringify(row) };

/** zod's optional keys may be there and undefined; JSON has no such thing. */
type Defined<T> = T extends string | number
  ? T
  : T extends object
    ? { [K in keyof T]: Defined<Exclude<T[K], undefined>> }
    : T;

async function revised<T>(
  store: Rows,
  table: Table,
  schema: z.ZodType<T>,
): Promise<Revised<Defined<T>>[]> {
  const rows: Revised<Defined<T>>[] = [];
  for await (const row of store.list(table))
    rows.push({ row: parsed(table, schema, row) as Defined<T>, revision: row.revision });
  return rows;
}

async function all<T>(store: Rows, table: Table, schema: z.ZodType<T>): Promise<T[]> {
  const rows: T[] = [];
  for await (const row of store.list(table)) rows.push(parsed(table, schema, row));
  return rows;
}

/** What a row, or that it is gone, says to an inventory. @throws Refused when it is not as it was written */
export function storedOf({ table, key, value }: RowChange, revision: number): Stored {
  if (value === undefined) return { table, key, revision };
  const row = rowOf(table, { key, value, revision });
  return { table, key, row, revision } as Stored;
}

const schemas: Record<Table, z.ZodType> = {
  vn,
  nve,
  member,
  claim,
  history,
  tenant,
  profile,
  policy,
  vnic,
  event,
  duplicate,
  migration,
};

/** @throws Refused when it is not as it was written */
function rowOf(table: Table, row: Row): unknown {
  const plain = table === "claim" ? plainClaim : table === "history" ? plainHistory : undefined;
  return plain?.(json(row.value)) ?? parsed(table, schemas[table], row);
}

function parsed<T>(table: Table, schema: z.ZodType<T>, row: Row): T {
  const { key, value } = row;
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
