import { Instant, type NveId, type Uuid, type VnId } from "@nve/protocol-spec";
import { type Departure, DeparturePhase } from "@nve/protocol-spec/proto/nve";
import type { Authority } from "../authority/authority.ts";
import { isMoving, type Migration, type Spot } from "../authority/migration-row.ts";
import { nveSource } from "../authority/records.ts";
import { toIps, toLocation, toMac, toUuid } from "./convert.ts";
import type { Hub } from "./hub.ts";

const forwarding = DeparturePhase.DEPARTURE_PHASE_FORWARDING;

/** How soon it is seen that all others know where a VNIC is now. */
const lookMs = 100;

/**
 * What NVEs are told of VNICs that have moved on from them (M5), and the watch over who knows of it: it is over when every NVE
 * in the VNs has applied the revision of the switch-over. One that is away has not, until it is heard of again.
 */
export class Departing {
  readonly #hub: Hub;
  /** VNICs whose departure each NVE was told of in its session, and where to; undefined: nowhere yet. */
  readonly #told = new Map<NveId, Map<Uuid, NveId | undefined>>();
  /** VNICs that NVEs were told to forward for, and have not said yet that they do. */
  readonly #unconfirmed = new Map<Uuid, Set<NveId>>();
  #looks = false;

  constructor(hub: Hub) {
    this.#hub = hub;
    const { keeper } = hub;
    keeper.onCommit((authority, _touched, _revision, { migrated }) => {
      if (migrated.size === 0) return;
      for (const vnic of migrated) this.#tell(authority, vnic);
      keeper.rewind();
      this.#look();
    });
    keeper.read((authority) => {
      for (const _ of authority.migrations.unknown()) this.#look();
    });
  }

  /** A session of an NVE has begun: it is told all there is. */
  welcome(nveId: NveId): void {
    this.#hub.keeper.read((authority) => {
      const departures = [...authority.migrations.running()].flatMap((row) => {
        const one = this.#departureOf(authority, row, nveId);
        return one === undefined ? [] : [one];
      });
      this.#told.set(nveId, new Map(departures.map(({ row, to }) => [row.vnic, to?.nveId])));
      const all = departures.map(({ departure }) => departure);
      this.#hub.sessions.get(nveId)?.departures({ all: true, departures: all });
    });
  }

  /** An NVE forwards for these from now on. */
  confirmed(nveId: NveId, vnics: readonly Uuid[]): void {
    for (const vnic of vnics) this.#confirm(vnic, nveId);
  }

  /** The session of an NVE is over: nobody waits for it. */
  lost(nveId: NveId): void {
    this.#told.delete(nveId);
    for (const vnic of [...this.#unconfirmed.keys()]) this.#confirm(vnic, nveId);
  }

  /** Of these VNICs, those that have arrived at this NVE, and for which others do not forward yet. */
  moving(nveId: NveId, vnics: Iterable<Uuid>): Uuid[] {
    const waited = [...new Set(vnics)].filter((vnic) => this.#unconfirmed.has(vnic));
    return waited.filter((vnic) => this.#placeOf(vnic) === nveId);
  }

  #confirm(vnic: Uuid, nveId: NveId): void {
    const waiting = this.#unconfirmed.get(vnic);
    if (!waiting?.delete(nveId) || waiting.size > 0) return;
    this.#unconfirmed.delete(vnic);
    const to = this.#placeOf(vnic);
    if (to !== undefined) this.#hub.sessions.get(to)?.arrived(vnic);
  }

  /** Where it has moved to. */
  #placeOf(vnic: Uuid): NveId | undefined {
    let place: NveId | undefined;
    this.#hub.keeper.read((authority) => {
      const row = authority.migrations.of(vnic);
      if (isMoving(row)) place = row.to.nveId;
    });
    return place;
  }

  #await(vnic: Uuid, nveId: NveId): void {
    const waiting = this.#unconfirmed.get(vnic);
    if (waiting === undefined) this.#unconfirmed.set(vnic, new Set([nveId]));
    else waiting.add(nveId);
  }

  #tell(authority: Authority, vnic: Uuid): void {
    const row = authority.migrations.of(vnic);
    for (const [nveId, session] of this.#hub.sessions) {
      const told = this.#told.get(nveId);
      if (told === undefined) continue; // it is told all when its session is there
      const one = row && this.#departureOf(authority, row, nveId);
      if (one === undefined) {
        this.#confirm(vnic, nveId);
        if (!told.delete(vnic)) continue;
      } else {
        const isNew = told.get(vnic) !== one.to?.nveId;
        if (isNew && one.departure.phase === forwarding) this.#await(vnic, nveId);
        told.set(vnic, one.to?.nveId);
      }
      const over = {
        vnic: toUuid(vnic),
        phase: DeparturePhase.DEPARTURE_PHASE_OVER,
        addresses: [],
        destination: undefined,
        mostMs: 0,
        held: [],
      };
      session.departures({ all: false, departures: [one?.departure ?? over] });
    }
  }

  #departureOf(
    authority: Authority,
    row: Migration,
    nveId: NveId,
  ): { row: Migration; to?: Spot; departure: Departure } | undefined {
    if (row.is === "held") return heldAt(authority, row, nveId);
    if (!isMoving(row)) return undefined;
    const found = row.departures.find(({ spot }) => spot.nveId === nveId);
    const location = authority.nve(row.to.nveId)?.row.location;
    if (found === undefined || location === undefined) return undefined;
    const { forwards, left } = found;
    if (forwards === undefined && left) return undefined;
    const phase = forwards === undefined ? DeparturePhase.DEPARTURE_PHASE_SETTLED : forwarding;
    const mostMs = Math.max(0, (forwards?.untilUnixMs ?? 0) - Date.now());
    const addresses = row.addresses.map(({ vnId, mac }) => ({ vnId, mac: toMac(mac) }));
    const vnic = toUuid(row.vnic);
    const destination = toLocation(location);
    const departure = { vnic, phase, addresses, destination, mostMs, held: [] };
    return { row, to: row.to, departure };
  }

  #look(): void {
    if (this.#looks) return;
    this.#looks = true;
    const { clock, keeper } = this.#hub;
    clock.at(Instant(clock.now() + lookMs), () => {
      this.#looks = false;
      keeper.read((authority) => this.#see(authority));
    });
  }

  #see(authority: Authority): void {
    const known: Uuid[] = [];
    let more = false;
    const applied = new Map<VnId, Map<NveId, bigint>>();
    for (const { row, revision } of authority.migrations.unknown()) {
      const isKnown = row.addresses.every(({ vnId }) => {
        const all = applied.get(vnId) ?? this.#appliedIn(authority, vnId);
        applied.set(vnId, all);
        return hasAll(all, row, BigInt(revision));
      });
      if (isKnown) known.push(row.vnic);
      else more = true;
    }
    if (known.length > 0)
      this.#hub.keeper.change((all, now) => all.migrationsKnown(known, now)).catch(() => undefined); // stopping: the next term looks again
    if (more) this.#look();
  }

  /** Up to where each NVE of a VN is. */
  #appliedIn(authority: Authority, vnId: VnId): Map<NveId, bigint> {
    const { applied, watchers } = this.#hub;
    const all = new Map<NveId, bigint>();
    for (const nveId of authority.vn(vnId)?.members ?? []) all.set(nveId, applied.get(nveId) ?? 0n);
    for (const { nveId } of watchers.of(vnId))
      if (nveId !== undefined) all.set(nveId, applied.get(nveId) ?? 0n);
    return all;
  }
}

/** The NVE that it has left keeps its addresses, and takes what comes for them (M8). */
function heldAt(
  authority: Authority,
  row: Migration & { is: "held" },
  nveId: NveId,
): { row: Migration; departure: Departure } | undefined {
  if (row.from.nveId !== nveId) return undefined;
  const held = row.addresses.flatMap(({ vnId, mac }) => {
    const claim = authority.vn(vnId)?.heldBy(mac, nveSource(nveId))?.claim;
    const isHeld = claim?.departed === true && claim.vnic === row.vnic;
    return isHeld ? [{ vnId, mac: toMac(mac), ...toIps(claim.ips) }] : [];
  });
  const departure = {
    ...{ vnic: toUuid(row.vnic), phase: DeparturePhase.DEPARTURE_PHASE_HELD },
    ...{ addresses: [], destination: undefined, held },
    mostMs: Math.max(0, row.untilUnixMs - Date.now()),
  };
  return { row, departure };
}

/** All but those that it is at, or was: they know by themselves, or are told apart. */
function hasAll(applied: ReadonlyMap<NveId, bigint>, row: Migration, revision: bigint): boolean {
  if (!isMoving(row)) return false;
  for (const [nveId, at] of applied) {
    const isEnd = nveId === row.to.nveId || row.departures.some(({ spot }) => spot.nveId === nveId);
    if (!isEnd && at < revision) return false;
  }
  return true;
}
