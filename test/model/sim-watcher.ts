import type grpc from "@grpc/grpc-js";
import { connect } from "@nve/program/rpc";
import { type Delta, NveClient, type WatchEvent, WatchRequest } from "@nve/protocol-spec/proto/nve";
import type { Cursor, Mapping, Vn } from "@nve/protocol-spec/proto/types";
import { keyOf, partsOf, wireText } from "./book.ts";
import type { World } from "./world.ts";

/** What a watcher holds of one VN. */
export type View = {
  cursor: Cursor | undefined;
  /** Alias and revision; absent: there is no such VN. */
  vn: string | undefined;
  mappings: Map<string, string>;
  /** The same, as they were told. */
  told: Map<string, Mapping>;
  members: Map<string, string>;
  /** What a snapshot under way has not named yet. */
  unnamed: { macs: Set<string>; members: Set<string> } | undefined;
  revision: bigint;
};
/** The last that was told of an address. */
type Last = {
  sequence: bigint;
  at: string;
  anycast: boolean;
  revision: bigint;
  gone: boolean;
};
type Stream = grpc.ClientDuplexStream<WatchRequest, WatchEvent>;

/** Watches VNs as an NVE does, keeps what it is told, and holds the NVA to what nve.proto promises of a watch. */
export class SimWatcher {
  readonly id: string;
  readonly #world: World;
  readonly views = new Map<number, View>();
  readonly #last = new Map<string, Last>();
  /** Watched before on this stream. */
  readonly #again = new Set<number>();
  readonly #timer: NodeJS.Timeout;
  #client: NveClient | undefined;
  #stream: Stream | undefined;
  #bookmarked = 0n;
  #heard = 0;
  #alive = true;
  /** Something came on this stream. */
  #isHeard = false;
  snapshots = 0;
  resumed = 0;

  constructor(id: string, world: World) {
    this.id = id;
    this.#world = world;
    this.#timer = setInterval(() => this.#check(), 100);
  }

  add(vns: readonly number[]): void {
    const fresh = vns.filter((vn) => !this.views.has(vn));
    for (const vn of fresh) this.views.set(vn, noView());
    this.#ask(fresh, []);
  }

  remove(vn: number): void {
    if (!this.views.delete(vn)) return;
    this.#again.add(vn);
    this.#ask([], [vn]);
  }

  /** Cuts the stream; it goes on where it was, or (`forget`) from nothing. */
  cut(forget: boolean): void {
    this.#drop("it was cut");
    if (forget) for (const vn of this.views.keys()) this.views.set(vn, noView());
  }

  /** Reads no further until `go`. */
  pause(): void {
    this.#stream?.pause();
    this.#heard = performance.now();
  }

  go(): void {
    this.#heard = performance.now();
    this.#stream?.resume();
  }

  /** The VN was deleted: in its next life they begin anew. */
  forgetSequences(vn: number): void {
    for (const key of [...this.#last.keys()]) if (partsOf(key).vn === vn) this.#last.delete(key);
  }

  close(): void {
    this.#alive = false;
    clearInterval(this.#timer);
    this.#drop("the run is over");
  }

  #check(): void {
    if (!this.#alive) return;
    if (this.#stream === undefined) this.#connect();
    else if (performance.now() - this.#heard > 3000) this.#drop("nothing heard for 3 s");
  }

  #connect(): void {
    const all = this.#world.addresses();
    if (all.length === 0) return;
    const client = connect(NveClient, this.#world.random.pick(all));
    const stream = client.watch();
    this.#client = client;
    this.#stream = stream;
    this.#bookmarked = 0n;
    const again = new Set(this.#again);
    this.#again.clear();
    this.#heard = performance.now();
    stream.on("data", (event) => {
      if (this.#stream === stream) this.#world.watchful(() => this.#hear(event));
    });
    stream.on("error", (error: grpc.ServiceError) => {
      if (this.#stream === stream) this.#drop(error.details);
    });
    stream.on("end", () => {
      if (this.#stream === stream) this.#drop("the NVA ended it");
    });
    for (const [vn, view] of this.views) {
      if (view.unnamed !== undefined || again.has(vn)) view.cursor = undefined; // a snapshot that broke off
      if (view.cursor !== undefined) this.resumed += 1;
      view.unnamed = undefined;
      view.revision = 0n;
    }
    this.#ask([...this.views.keys()], []);
  }

  #ask(vns: readonly number[], remove: number[]): void {
    const add = vns.map((vn) => ({ vnId: vn, cursor: this.views.get(vn)?.cursor }));
    if (this.#isHeard)
      for (const { vnId } of add) this.#world.trace.say(`${this.id} watches`, { vn: vnId });
    this.#stream?.write(WatchRequest.create({ nveId: this.id, add, remove }));
  }

  #drop(why: string): void {
    if (this.#isHeard) {
      this.#world.trace.say(`${this.id} lost its watch: ${why}`);
      this.#world.drops += 1;
    }
    this.#isHeard = false;
    this.#stream?.cancel();
    this.#client?.close();
    this.#stream = undefined;
  }

  #hear({ event }: WatchEvent): void {
    this.#heard = performance.now();
    if (!this.#isHeard) this.#world.trace.say(`${this.id} hears from the NVA`);
    this.#isHeard = true;
    switch (event?.$case) {
      case "snapshotBegin":
        this.#begin(event.value.vnId);
        return;
      case "snapshotEnd":
        this.#end(event.value.vnId, event.value.cursor);
        return;
      case "delta":
        this.#delta(event.value);
        return;
      case "bookmark": {
        const { revision } = event.value;
        for (const [vn, view] of this.views) {
          if (revision < view.revision)
            throw this.#fault(`bookmark ${revision} after ${view.revision}`);
          if (view.cursor === undefined) continue;
          view.cursor = event.value;
          // Of one that is watched once more, what is here may be of when it was watched before.
          if (!this.#again.has(vn)) this.#whole(vn, view, revision);
        }
        this.#bookmarked = revision;
      }
    }
  }

  #begin(vn: number): void {
    const view = this.views.get(vn);
    if (view === undefined) return; // unwatched meanwhile
    this.snapshots += 1;
    view.cursor = undefined;
    view.unnamed = {
      macs: new Set(view.mappings.keys()),
      members: new Set(view.members.keys()),
    };
  }

  #end(vn: number, cursor: Cursor | undefined): void {
    const view = this.views.get(vn);
    if (view === undefined) return;
    const { unnamed } = view;
    if (unnamed === undefined && this.#again.has(vn)) return; // of when it was watched before
    if (unnamed === undefined || cursor === undefined)
      throw this.#fault(`the end of a snapshot of VN ${vn} that did not begin`, `${vn}`);
    this.#world.trace.say(`${this.id} has a snapshot of revision ${cursor.revision}`, { vn });
    for (const mac of unnamed.macs) this.#none(vn, mac, view, cursor.revision);
    for (const member of unnamed.members) view.members.delete(member);
    view.unnamed = undefined;
    view.cursor = cursor;
    this.#whole(vn, view, cursor.revision);
  }

  /** Of this VN all up to `revision` is told, so the NVA says: also of what was not told just now. */
  #whole(vn: number, view: View, revision: bigint): void {
    const { book } = this.#world;
    for (const key of book.keys()) {
      const { vn: of, mac } = partsOf(key);
      if (of !== vn) continue;
      const mapping = view.told.get(mac);
      if (mapping !== undefined) book.toldMapping(this.id, mapping, revision);
      else book.toldNone(this.id, key, revision);
    }
  }

  #delta(delta: Delta): void {
    const { vnId, revision } = delta;
    const view = this.views.get(vnId);
    if (view === undefined) return;
    if (revision < view.revision || revision < this.#bookmarked)
      throw this.#fault(
        `a delta of VN ${vnId} at revision ${revision} after ${view.revision}, bookmark ${this.#bookmarked}`,
        `${vnId}`,
      );
    if (view.unnamed === undefined && view.cursor === undefined) {
      // Of when it was watched before; or another VN has the ID now, and its snapshot comes next.
      if (this.#again.has(vnId) || delta.vnGone) return;
      throw this.#fault(`a delta of VN ${vnId} before its snapshot`, `${vnId}`);
    }
    view.revision = revision;
    if (delta.vn !== undefined) view.vn = vnText(delta.vn);
    if (delta.vnGone) this.#vnGone(view);
    for (const member of delta.members) {
      view.members.set(member.nveId, member.vteps.map((octets) => octets.join(".")).join());
      view.unnamed?.members.delete(member.nveId);
    }
    for (const member of delta.membersLeft) view.members.delete(member);
    for (const mapping of delta.mappings) this.#mapping(mapping, view, revision);
    for (const mac of delta.withdrawn) this.#none(vnId, mac.toString("hex"), view, revision);
    if (view.cursor !== undefined) view.cursor = { ...view.cursor, revision };
  }

  #vnGone(view: View): void {
    view.vn = undefined;
    view.mappings.clear();
    view.told.clear();
    view.members.clear();
  }

  #mapping(mapping: Mapping, view: View, revision: bigint): void {
    const mac = mapping.mac.toString("hex");
    const text = viewText(mapping);
    const about = { vn: mapping.vnId, mac };
    this.#world.trace.say(`${this.id} is told at revision ${revision}: ${text}`, about);
    view.mappings.set(mac, text);
    view.told.set(mac, mapping);
    view.unnamed?.macs.delete(mac);
    this.#world.book.toldMapping(this.id, mapping, revision);
    this.#sequence(mapping, revision);
  }

  #none(vn: number, mac: string, view: View, revision: bigint): void {
    const key = keyOf(vn, mac);
    this.#world.trace.say(`${this.id} is told at revision ${revision}: nobody`, { vn, mac });
    view.mappings.delete(mac);
    view.told.delete(mac);
    view.unnamed?.macs.delete(mac);
    this.#world.book.toldNone(this.id, key, revision);
    const last = this.#last.get(key);
    if (last !== undefined) last.gone = true;
  }

  /** It never goes down in one life of a VN, and rises whenever the address is elsewhere or was gone. */
  #sequence(mapping: Mapping, revision: bigint): void {
    const key = keyOf(mapping.vnId, mapping.mac.toString("hex"));
    const { sequence, anycast } = mapping;
    const at = mapping.locations.map(({ nveId }) => nveId).join();
    const last = this.#last.get(key);
    this.#last.set(key, {
      sequence,
      at,
      revision,
      gone: false,
      anycast: anycast || (last?.anycast ?? false),
    });
    if (last === undefined || this.#world.book.mayHaveDied(mapping.vnId, last.revision)) return;
    const isElsewhere = last.gone || (at !== last.at && !last.anycast && !anycast);
    // A binding goes before claims and comes off them, and goes and comes with its NVE: all sequences stay what they were.
    const mayStay = this.#world.book.mayHaveBeenBound(key);
    if (sequence < last.sequence || (isElsewhere && !mayStay && sequence === last.sequence))
      throw this.#fault(
        `${key} went from ${last.at} with sequence ${last.sequence} to ${at} with ${sequence}`,
        key,
      );
  }

  #fault(fault: string, key = ""): Error {
    const [vn, mac] = key.split("/");
    const about = { ...(vn && { vn: Number(vn) }), ...(mac && { mac }) };
    return this.#world.trace.violation(`${this.id}: ${fault}`, about);
  }
}

const noView = (): View => ({
  cursor: undefined,
  vn: undefined,
  mappings: new Map(),
  told: new Map(),
  members: new Map(),
  unnamed: undefined,
  revision: 0n,
});

export const vnText = ({ alias, revision, vni, mtu }: Vn): string =>
  `${alias} ${vni} ${mtu} at ${revision}`;

export const viewText = (mapping: Mapping): string =>
  [
    mapping.locations
      .map(({ nveId, vteps }) => `${nveId}(${vteps.map((octets) => octets.join(".")).join()})`)
      .sort()
      .join("+"),
    `#${mapping.sequence}`,
    wireText(mapping),
    ...(mapping.stale ? ["stale"] : []),
  ].join(" ");
