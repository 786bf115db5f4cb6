import grpc from "@grpc/grpc-js";
import { OutOfRange, type Uuid } from "@nve/protocol-spec";
import * as wire from "@nve/protocol-spec/proto/northbound";
import type { Authority } from "../authority/authority.ts";
import {
  isMoving,
  isOver,
  type Migration,
  type MigrationState,
  type Spot,
} from "../authority/migration-row.ts";
import type { VnState } from "../authority/vn-state.ts";
import { fromUuid, toMac, toUuid } from "./convert.ts";
import type { Closable, Hub } from "./hub.ts";
import { pageSize } from "./resources.ts";

type FindVn = (authority: Authority, ref: wire.VnRef | undefined) => VnState;
export type FollowMigrationCall = grpc.ServerWritableStream<
  wire.FollowMigrationRequest,
  wire.Migration
>;

/** Migrations under way, and the last one of each VNIC (V2); by VNIC. */
export function listMigrations(
  authority: Authority,
  { vn, vnic, running, pageSize: size, pageToken }: wire.ListMigrationsRequest,
  find: FindVn,
): wire.ListMigrationsResponse {
  const vnId = vn && find(authority, vn).vn.vnId;
  const asked = vnic.length === 0 ? undefined : fromUuid(vnic, "vnic");
  if (pageToken.length > 36) throw new OutOfRange("page_token: not one of this server's");
  const all = authority.migrations
    .list()
    .filter(
      (one) =>
        one.vnic > pageToken &&
        (asked === undefined || one.vnic === asked) &&
        (!running || !isOver(one)) &&
        (vnId === undefined || one.addresses.some((address) => address.vnId === vnId)),
    )
    .sort((a, b) => (a.vnic < b.vnic ? -1 : 1));
  const page = all.slice(0, Math.min(pageSize(size), mostPerPage));
  const nextPageToken = page.length < all.length ? (page.at(-1)?.vnic ?? "") : "";
  return { migrations: page.map(toMigration), nextPageToken };
}

/** Of some kilobytes each. */
const mostPerPage = 200;

/** Those who follow at a time. */
const followers = 1_000;

/** Tells the migration of a VNIC as it is, and after each change. A slow reader is told the latest only. */
export function followMigration(call: FollowMigrationCall, hub: Hub): void {
  try {
    const vnic = fromUuid(call.request.vnic, "vnic");
    if (hub.migrationFollowers.size >= followers)
      throw new OutOfRange(`${followers} follow migrations at this NVA already`);
    new Follower(call, hub, vnic).more();
  } catch (error) {
    const details = error instanceof Error ? error.message : String(error);
    call.emit("error", { code: grpc.status.INVALID_ARGUMENT, details });
  }
}

class Follower implements Closable {
  readonly vnic: Uuid;
  readonly #call: FollowMigrationCall;
  readonly #hub: Hub;
  #told: Migration | undefined;
  #isFull = false;
  #closed = false;

  constructor(call: FollowMigrationCall, hub: Hub, vnic: Uuid) {
    this.vnic = vnic;
    this.#call = call;
    this.#hub = hub;
    hub.calls.add(this);
    hub.migrationFollowers.add(this);
    call.on("cancelled", () => this.close(grpc.status.CANCELLED, ""));
    call.on("error", () => this.close(grpc.status.CANCELLED, ""));
    call.on("drain", () => {
      this.#isFull = false;
      this.more();
    });
  }

  /** It may be another now. */
  more(): void {
    this.#hub.keeper.read((authority) => {
      const row = authority.migrations.of(this.vnic);
      if (row === undefined || row === this.#told || this.#isFull || this.#closed) return;
      this.#told = row;
      this.#isFull = !this.#call.write(toMigration(row));
    });
  }

  close(code: grpc.status, reason: string): void {
    if (this.#closed) return;
    this.#closed = true;
    this.#hub.calls.delete(this);
    this.#hub.migrationFollowers.delete(this);
    if (code !== grpc.status.CANCELLED) this.#call.emit("error", { code, details: reason });
  }
}

export function toMigration(row: Migration): wire.Migration {
  const to = "to" in row ? row.to : undefined;
  return {
    vnic: toUuid(row.vnic),
    state: states[row.is],
    source: toSpot(row.from),
    destination: to && toSpot(to),
    addresses: row.addresses.map(({ vnId, mac }) => ({ vnId, mac: toMac(mac) })),
    departures: isMoving(row)
      ? row.departures.map(({ spot, left, forwards }) => ({
          spot: toSpot(spot),
          left,
          forwarding: forwards !== undefined,
          known: forwards?.known ?? true,
        }))
      : [],
    startedUnixMs: BigInt(row.startedUnixMs),
    endedUnixMs: BigInt(isOver(row) ? row.endedUnixMs : 0),
    untilUnixMs: BigInt(row.is === "held" ? row.untilUnixMs : 0),
    hinted: row.hinted,
    steps: row.steps.map(({ atUnixMs, what }) => ({ atUnixMs: BigInt(atUnixMs), what })),
  };
}

const toSpot = ({ nveId, port, hypervisor }: Spot): wire.Spot => ({
  nveId,
  port: port ?? "",
  hypervisor: hypervisor ?? "",
});

const states: Record<MigrationState, wire.MigrationState> = {
  prepared: wire.MigrationState.MIGRATION_STATE_PREPARED,
  held: wire.MigrationState.MIGRATION_STATE_HELD,
  "switched-over": wire.MigrationState.MIGRATION_STATE_SWITCHED_OVER,
  "rolling-back": wire.MigrationState.MIGRATION_STATE_ROLLING_BACK,
  completed: wire.MigrationState.MIGRATION_STATE_COMPLETED,
  "rolled-back": wire.MigrationState.MIGRATION_STATE_ROLLED_BACK,
  "given-up": wire.MigrationState.MIGRATION_STATE_GIVEN_UP,
};
