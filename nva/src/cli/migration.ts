import grpc from "@grpc/grpc-js";
import { NotFound, Refused } from "@nve/program/errors";
import { show, showOne } from "@nve/program/output";
import { textArgument } from "@nve/program/program";
import { call } from "@nve/program/rpc";
import { macFrom, Uuid, uuidFrom, uuidOctets } from "@nve/protocol-spec/ids";
import {
  type Migration,
  MigrationState,
  type NorthboundClient,
  type Spot,
} from "@nve/protocol-spec/proto/northbound";
import { Command } from "commander";
import { safe } from "./fields.ts";
import { ask, asking, type Common, columns, type Outside, outputOf, vnRef } from "./outside.ts";

/** `nva migration`: where VNICs are moving, and how far they are (docs/migration.md). */
export function migrationCommand(outside: Outside): Command {
  const migration = new Command("migration").description("VNICs that move from NVE to NVE");
  asking(migration.command("list"))
    .description("those under way, and the last one of each VNIC for an hour")
    .option("--vn <vn>", "VN ID, alias or UUID")
    .option("--running", "only those under way", false)
    .action(async (options: Common & { vn?: string; running: boolean }) => {
      const rows = await ask(outside, options, (nva) => listed(nva, options));
      show(rows.map(migrationRecord), table, outputOf(outside, options), "no migrations");
    });
  asking(migration.command("show"))
    .description("the migration of a VNIC, or its last one, step by step")
    .argument("<vnic>", "UUID of the VNIC", textArgument(Uuid))
    .action(async (vnic: Uuid, options: Common) => {
      const found = await ask(outside, options, (nva) => one(nva, vnic));
      if (options.json) showOne(migrationRecord(found), outputOf(outside, options));
      else for (const line of linesOf(found)) outside.print(line);
    });
  asking(migration.command("watch"))
    .description("each step of the migrations of a VNIC as it happens, until interrupted")
    .argument("<vnic>", "UUID of the VNIC", textArgument(Uuid))
    .option("--once", "end with the migration", false)
    .action((vnic: Uuid, options: Common & { once: boolean }) =>
      ask(outside, options, (nva) => watch(outside, nva, vnic, options)),
    );
  return migration.addHelpText("after", examples);
}

async function listed(
  nva: NorthboundClient,
  { vn, running, vnic }: { vn?: string; running?: boolean; vnic?: Uuid },
): Promise<Migration[]> {
  const all: Migration[] = [];
  let pageToken = "";
  do {
    const page = await call(nva, nva.listMigrations, {
      vn: vn === undefined ? undefined : vnRef(vn),
      vnic: Buffer.from(vnic === undefined ? [] : uuidOctets(vnic)),
      running: running ?? false,
      pageSize: 200,
      pageToken,
    });
    all.push(...page.migrations);
    pageToken = page.nextPageToken;
  } while (pageToken !== "");
  return all;
}

/** @throws NotFound */
async function one(nva: NorthboundClient, vnic: Uuid): Promise<Migration> {
  const [found] = await listed(nva, { vnic });
  if (found !== undefined) return found;
  throw new NotFound(
    `VNIC ${vnic} does not migrate, and has not of late: \`nva migration list\` shows who does`,
  );
}

/** Prints steps that were not printed yet; with --json each state as a line. */
function watch(
  outside: Outside,
  nva: NorthboundClient,
  vnic: Uuid,
  { json, once }: { json: boolean; once: boolean },
): Promise<void> {
  return new Promise((resolve, reject) => {
    let started = 0n;
    let seen = new Set<string>();
    const following = nva.followMigration({ vnic: Buffer.from(uuidOctets(vnic)) });
    following.on("data", (now: Migration) => {
      if (json) outside.print(JSON.stringify(migrationRecord(now)));
      else {
        if (now.startedUnixMs !== started) seen = new Set();
        started = now.startedUnixMs;
        for (const step of now.steps) {
          const key = `${step.atUnixMs} ${step.what}`;
          if (seen.has(key)) continue;
          seen.add(key);
          outside.print(stepLine(step, now.startedUnixMs));
        }
      }
      if (once && now.endedUnixMs !== 0n) {
        following.cancel();
        resolve();
      }
    });
    following.on("error", () => {}); // "status" tells the same
    following.on("status", ({ code, details }: grpc.StatusObject) => {
      if (code === grpc.status.CANCELLED) resolve();
      else reject(new Refused(details));
    });
  });
}

const names: Readonly<Record<number, string>> = {
  [MigrationState.MIGRATION_STATE_PREPARED]: "prepared",
  [MigrationState.MIGRATION_STATE_HELD]: "held",
  [MigrationState.MIGRATION_STATE_SWITCHED_OVER]: "switched-over",
  [MigrationState.MIGRATION_STATE_ROLLING_BACK]: "rolling-back",
  [MigrationState.MIGRATION_STATE_COMPLETED]: "completed",
  [MigrationState.MIGRATION_STATE_ROLLED_BACK]: "rolled-back",
  [MigrationState.MIGRATION_STATE_GIVEN_UP]: "given-up",
};

const time = (unixMs: bigint): string =>
  unixMs === 0n ? "" : new Date(Number(unixMs)).toISOString();

const spot = (of: Spot | undefined) => of ?? { nveId: "", port: "", hypervisor: "" };

export const migrationRecord = (one: Migration) => ({
  vnic: uuidFrom(one.vnic),
  state: names[one.state] ?? String(one.state),
  source: spot(one.source),
  destination: spot(one.destination),
  addresses: one.addresses.map(({ vnId, mac }) => ({ vnId, mac: macFrom(mac) })),
  departures: one.departures.map(({ spot: of, left, forwarding, known }) => ({
    ...spot(of),
    left,
    forwarding,
    known,
  })),
  started: time(one.startedUnixMs),
  ended: time(one.endedUnixMs),
  until: time(one.untilUnixMs),
  hinted: one.hinted,
  steps: one.steps.map(({ atUnixMs, what }) => ({
    at: time(atUnixMs),
    afterMs: Number(atUnixMs - one.startedUnixMs),
    what,
  })),
});
type MigrationRecord = ReturnType<typeof migrationRecord>;

const table = columns<MigrationRecord>({
  VNIC: (one) => one.vnic,
  STATE: (one) => one.state,
  FROM: (one) => one.source.nveId,
  TO: (one) => one.destination.nveId,
  STARTED: (one) => one.started,
  MS: (one) => String(one.steps.at(-1)?.afterMs ?? 0),
  FORWARDING: (one) =>
    one.departures.flatMap(({ nveId, forwarding }) => (forwarding ? [nveId] : [])).join(" "),
});

function linesOf(one: Migration): string[] {
  const { vnic, state, addresses, hinted } = migrationRecord(one);
  const where = addresses.map(({ vnId, mac }) => `${mac} in VN ${vnId}`).join(", ");
  const how = hinted ? "announced" : "unannounced";
  return [
    safe(`${vnic}  ${state}, ${how}: ${where}`),
    ...one.steps.map((step) => stepLine(step, one.startedUnixMs)),
  ];
}

/** `2026-01-01T00:00:00.000Z  +12 ms  switched over from tor1 to tor2` */
function stepLine({ atUnixMs, what }: Migration["steps"][number], started: bigint): string {
  const after = `+${atUnixMs - started} ms`.padStart(10);
  return safe(`${time(atUnixMs)} ${after}  ${what}`);
}

const examples = `
Examples:
  nva migration list --running
  nva migration show 0f8fad5b-d9cb-469f-a165-70867728950e
  nva migration watch 0f8fad5b-d9cb-469f-a165-70867728950e --once`;
