import grpc from "@grpc/grpc-js";
import { Forbidden, Refused, statusOf } from "@nve/program";
import { Instant, NveId, OutOfRange, VnId } from "@nve/protocol-spec";
import { Delta, type VnWatch, type WatchRequest } from "@nve/protocol-spec/proto/nve";
import type { Authority } from "../authority/authority.ts";
import { limits } from "../authority/limits.ts";
import type { Touch } from "../authority/records.ts";
import { notItself } from "./access.ts";
import { fromMac, toCursor } from "./convert.ts";
import {
  deltaOf,
  encodeDelta,
  encodeEvent,
  everyKey,
  type Key,
  keysOf,
  portion,
  sizeOf,
} from "./delta.ts";
import type { Closable, Hub, VnWatcher } from "./hub.ts";
import { identityOf } from "./identity.ts";
import { fromSelection, Selected } from "./selected.ts";

/** The response side takes encoded messages, so that one change is encoded once for all. */
export type WatchCall = grpc.ServerDuplexStream<WatchRequest, Buffer>;

const bookmarkMs = 1_000;
/** Changed keys of one VN that are kept for a watcher; with more it gets a snapshot. */
const dirtyLimit = 10_000;
/** VNs that one NVE can watch. */
const vnLimit = 100_000;
/** Of VNs that were watched before in the same call, so many are remembered. */
const leftLimit = 10_000;

/** One VN as one watcher has it. */
type Scope = {
  vnId: VnId;
  /** Up to here it has been told everything. */
  told: number;
  dirty: Touch;
  /** Pull: the only MACs that it hears of. */
  only?: Selected;
  /** Another VN has its ID now: its members are to go before the other's are told. */
  reborn?: boolean;
  /** A snapshot is due (`rows` absent) or under way. */
  snapshot?: { revision: number; rows?: Iterator<Key> };
};

type Wanted = { vnId: VnId; cursor: VnWatch["cursor"]; only: Selected | undefined };
type Selection = ReturnType<typeof fromSelection>;

/**
 * One Watch call. At most one message is under way at a time; what changes meanwhile is kept as a set of keys and
 * told with the state that it has when its turn comes, so a slow NVE costs memory by what it watches, not by time.
 */
export class Watcher implements VnWatcher, Closable {
  readonly #call: WatchCall;
  readonly #hub: Hub;
  readonly #scopes = new Map<VnId, Scope>();
  readonly #due = new Set<Scope>();
  /** How far it was told of VNs that it watches no more: watched again, they do not go back. */
  readonly #left = new Map<VnId, number>();
  #nveId: NveId | undefined;
  #sending = false;
  #bookmarkDue = false;
  #bookmarked = 0;
  #closed = false;
  #callOff = (): void => {};

  constructor(call: WatchCall, hub: Hub) {
    this.#call = call;
    this.#hub = hub;
    hub.calls.add(this);
    hub.watchers.count += 1;
    call.on("data", (request: WatchRequest) => this.#receive(request));
    call.on("end", () => this.close(grpc.status.OK, ""));
    call.on("cancelled", () => this.close(grpc.status.CANCELLED, "the connection was lost"));
    call.on("error", () => this.close(grpc.status.CANCELLED, "the connection was lost"));
    this.#tick();
  }

  get nveId(): NveId | undefined {
    return this.#nveId;
  }

  close(code: grpc.status, reason: string): void {
    if (this.#closed) return;
    this.#closed = true;
    this.#callOff();
    this.#hub.calls.delete(this);
    this.#hub.watchers.count -= 1;
    for (const vnId of this.#scopes.keys()) this.#hub.watchers.delete(vnId, this);
    this.#scopes.clear();
    this.#due.clear();
    if (code === grpc.status.OK) this.#call.end();
    else this.#call.emit("error", { code, details: reason });
    this.#call.resume();
  }

  changed(vnId: VnId, touch: Touch, encoded: () => Buffer | undefined): void {
    const scope = this.#scopes.get(vnId);
    if (scope === undefined || this.#closed) return;
    if (touch.life) {
      scope.reborn = true;
      this.#due.add(scope);
      this.#pump();
      return;
    }
    const isBehind = this.#sending || this.#due.size > 0;
    const event = isBehind || scope.only !== undefined ? undefined : encoded();
    if (event !== undefined) {
      scope.told = this.#hub.keeper.revision;
      this.#send(event);
      return;
    }
    this.#mark(scope, scope.only?.of(touch) ?? touch);
    this.#pump();
  }

  #receive(request: WatchRequest): void {
    if (this.#closed) return;
    try {
      this.#apply(request);
    } catch (error) {
      const { code, details } = statusOf(error);
      this.#hub.log.warn({ nve: this.#nveId, reason: details }, "watch refused");
      this.close(code, details);
    }
  }

  #apply({ add, remove, applied, nveId, select }: WatchRequest): void {
    if (this.#nveId === undefined || nveId !== "") {
      const id = NveId(nveId);
      if (this.#nveId !== undefined && this.#nveId !== id)
        throw new OutOfRange(`a watch is of one NVE: "${this.#nveId}", not "${id}"`);
      const other = notItself(identityOf(this.#call), id);
      if (other !== undefined) throw new Forbidden(other);
      this.#nveId = id;
    }
    const wanted = add.map(({ vnId, cursor, only }) => ({
      vnId: VnId(vnId),
      cursor,
      only: only && new Selected(only.macs.map((octets) => fromMac(octets))),
    }));
    const selection = select && fromSelection(select);
    const unwanted = remove.map(VnId);
    if (this.#scopes.size + wanted.length > vnLimit)
      throw new OutOfRange(`more than ${vnLimit} VNs in one watch`);
    if (this.#hub.watchers.vns + wanted.length > limits.watchedVns)
      throw new Refused(`this NVA is watched for ${limits.watchedVns} VNs already, no more go`);
    if (applied > 0n) this.#hub.applied.set(this.#nveId, applied);
    for (const vnId of unwanted) this.#drop(vnId);
    for (const one of wanted) this.#hub.keeper.read((authority) => this.#begin(authority, one));
    if (selection !== undefined) this.#hub.keeper.read(() => this.#select(selection));
  }

  /** What is selected is told as it is now, whatever is known of it. */
  #select({ vnId, add, remove }: Selection): void {
    const scope = this.#scopes.get(vnId);
    if (scope?.only === undefined) return; // the VN was left meanwhile
    const fault = scope.only.change(add, remove);
    if (fault === undefined) this.#mark(scope, { ...nothing(), macs: new Set(add) });
    else this.close(grpc.status.OUT_OF_RANGE, fault);
    this.#pump();
  }

  #begin(authority: Authority, { vnId, cursor, only }: Wanted): void {
    if (this.#closed) return;
    this.#drop(vnId);
    const told = this.#left.get(vnId) ?? 0;
    const scope: Scope = { vnId, told, dirty: nothing(), ...(only && { only }) };
    this.#left.delete(vnId);
    this.#scopes.set(vnId, scope);
    this.#hub.watchers.add(vnId, this);
    const missed = this.#missed(vnId, cursor);
    if (missed === undefined) scope.snapshot = { revision: 0 };
    else {
      scope.told = Number(cursor?.revision ?? 0n); // as it says, whatever it was told before
      // A VN that is gone by now has left no trace of its going.
      const isGone = authority.vn(vnId) === undefined;
      this.#mark(scope, { ...missed, vn: missed.vn || isGone, ...(only && { macs: only.macs }) });
    }
    if (scope.snapshot !== undefined) this.#due.add(scope);
    this.#pump();
  }

  /** What changed since a cursor; `undefined` when it is of no use. */
  #missed(vnId: VnId, cursor: VnWatch["cursor"]): Touch | undefined {
    const { feed, keeper } = this.#hub;
    if (cursor === undefined || cursor.revision > BigInt(keeper.revision)) return undefined;
    const { storeId } = toCursor(keeper.store.id, 0);
    if (!storeId.equals(cursor.storeId)) return undefined;
    return feed.since(vnId, Number(cursor.revision));
  }

  #mark(scope: Scope, { vn, macs, members }: Touch): void {
    const { dirty } = scope;
    dirty.vn ||= vn;
    for (const mac of macs) dirty.macs.add(mac);
    for (const member of members) dirty.members.add(member);
    if (sizeOf(dirty) === 0) return;
    if (sizeOf(dirty) > dirtyLimit) {
      scope.dirty = nothing();
      scope.snapshot = { revision: 0 }; // begins anew when one is under way
    }
    this.#due.add(scope);
  }

  #drop(vnId: VnId): void {
    const scope = this.#scopes.get(vnId);
    if (scope === undefined) return;
    this.#scopes.delete(vnId);
    this.#due.delete(scope);
    this.#hub.watchers.delete(vnId, this);
    this.#left.set(vnId, Math.max(scope.told, scope.snapshot?.revision ?? 0));
    const [oldest] = this.#left.keys();
    if (this.#left.size > leftLimit && oldest !== undefined) this.#left.delete(oldest);
  }

  #tick(): void {
    this.#callOff = this.#hub.clock.at(Instant(this.#hub.clock.now() + bookmarkMs), () => {
      this.#bookmarkDue = true;
      this.#pump();
      this.#tick();
    });
  }

  #pump(): void {
    if (this.#sending || this.#closed) return;
    this.#sending = true;
    this.#hub.keeper.read((authority) => {
      this.#sending = false;
      const event = this.#closed ? undefined : this.#next(authority);
      if (event !== undefined) this.#send(event);
    });
  }

  #send(event: Buffer): void {
    this.#sending = true;
    this.#call.write(event, () => {
      this.#sending = false;
      this.#pump();
    });
  }

  /** The next message: of the VNs in turn, then a bookmark when it is time. */
  #next(authority: Authority): Buffer | undefined {
    const [scope] = this.#due;
    if (scope !== undefined) {
      this.#due.delete(scope);
      const event = this.#nextOf(scope, authority);
      if (scope.snapshot !== undefined || sizeOf(scope.dirty) > 0) this.#due.add(scope); // to the back
      return event;
    }
    if (!this.#bookmarkDue) return undefined;
    this.#bookmarkDue = false;
    this.#bookmarked = this.#hub.keeper.revision;
    return encodeEvent({ event: { $case: "bookmark", value: this.#cursor(this.#bookmarked) } });
  }

  #nextOf(scope: Scope, authority: Authority): Buffer {
    if (scope.reborn) return this.#gone(scope, authority);
    return scope.snapshot === undefined
      ? this.#delta(scope, authority)
      : this.#snapshot(scope, scope.snapshot, authority);
  }

  /** The VN as it was is gone; a snapshot of the other, if there is one, comes next. */
  #gone(scope: Scope, authority: Authority): Buffer {
    const { vnId } = scope;
    const isAwaited = scope.snapshot !== undefined; // what began, or was due, comes to its end
    const isThere = authority.vn(vnId) !== undefined;
    const begun = scope.snapshot?.revision ?? 0;
    delete scope.reborn;
    delete scope.snapshot;
    scope.dirty = nothing();
    if (isAwaited || isThere) scope.snapshot = { revision: 0 };
    else scope.told = this.#hub.keeper.revision;
    scope.told = Math.max(scope.told, begun, this.#bookmarked); // none goes back
    const revision = BigInt(scope.told);
    return encodeDelta({ ...Delta.create({ vnId, revision }), vnGone: true });
  }

  #delta(scope: Scope, authority: Authority): Buffer {
    const keys = [...portion(authority, scope.vnId, keysOf(scope.dirty))];
    for (const key of keys) {
      if ("vn" in key) scope.dirty.vn = false;
      else if ("nve" in key) scope.dirty.members.delete(key.nve);
      else scope.dirty.macs.delete(key.mac);
    }
    // A delta bears the revision up to which, with it, all is told: so each is good for a cursor.
    if (sizeOf(scope.dirty) === 0) scope.told = this.#hub.keeper.revision;
    const revision = Math.max(scope.told, this.#bookmarked);
    return encodeDelta(deltaOf(authority, scope.vnId, keys, revision));
  }

  #snapshot(scope: Scope, snapshot: NonNullable<Scope["snapshot"]>, authority: Authority): Buffer {
    const { vnId } = scope;
    if (snapshot.rows === undefined) {
      snapshot.revision = this.#hub.keeper.revision;
      snapshot.rows = everyKey(authority, vnId, scope.only?.macs);
      scope.dirty = nothing();
      const value = { vnId, cursor: this.#cursor(snapshot.revision) };
      return encodeEvent({ event: { $case: "snapshotBegin", value } });
    }
    const keys = [...portion(authority, vnId, { [Symbol.iterator]: () => rest(snapshot.rows) })];
    if (keys.length > 0) return encodeDelta(deltaOf(authority, vnId, keys, snapshot.revision));
    delete scope.snapshot;
    scope.told = snapshot.revision;
    const value = { vnId, cursor: this.#cursor(snapshot.revision) };
    return encodeEvent({ event: { $case: "snapshotEnd", value } });
  }

  #cursor(revision: number) {
    return toCursor(this.#hub.keeper.store.id, revision);
  }
}

const nothing = (): Touch => ({ vn: false, macs: new Set(), members: new Set() });

/** Takes from an iterator without closing it at the end of the taking. */
const rest = <T>(rows: Iterator<T> | undefined): Iterator<T> => ({
  next: () => rows?.next() ?? { done: true, value: undefined },
});
