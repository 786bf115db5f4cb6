import type { Instant, Mac, Uuid, VnId } from "@nve/protocol-spec";
import { Believer } from "./believer.ts";
import type { Departed } from "./departures.ts";
import type { NveEffect, NveEvent, PortOptions, Report, Waiting } from "./events.ts";
import { Fdb, type RemoteChange } from "./fdb.ts";
import { Gleaner, type GleanOptions, gleanDefaults, MAX_GLEANED } from "./glean.ts";
import { Holders } from "./holders.ts";
import type { Intent } from "./intents.ts";
import { overLimits } from "./limits.ts";
import { Port } from "./ports.ts";
import {
  contentOf,
  isList,
  named,
  notTaken,
  reasons,
  standing,
  stays,
  withVids,
} from "./request.ts";
import { ServedVns } from "./served-vns.ts";
import { Tree } from "./tree.ts";
import { refusalIn, sameContent, VnInfos } from "./vn-infos.ts";
import { type LocalVnic, localVnic } from "./vnic.ts";
import type { Ask, Entry, Granted, Pending, Refusal, VnInfo, Vsi } from "./vsi.ts";

/**
 * The NVE: who is attached, which tag each VN has on each port, and what follows for the dataplane and the NVA. No IO
 * and no clock: events in, effects out, in order; of the VNs that an event touched only the difference is given out.
 */
export class NveCore {
  readonly ports = new Map<string, Port>();
  readonly vsis = new Map<string, Vsi>();
  readonly infos = new VnInfos();
  readonly tree = new Tree();
  readonly fdb = new Fdb();
  readonly gleaned: Gleaner;
  readonly #believer: Believer;
  readonly holders = new Holders();
  readonly #served: ServedVns;
  #nva = false;
  #serial = 0;
  #owners: Waiting[] = [];
  #out: NveEffect[] = [];

  constructor(ports: readonly PortOptions[], glean: GleanOptions = gleanDefaults) {
    this.gleaned = new Gleaner(glean, (what, fields) => this.#log("warn", what, fields));
    this.#believer = new Believer(this.gleaned, {
      fdb: this.fdb,
      served: (vn) => this.#served.get(vn),
      vnAt: ({ port, vid }) => this.ports.get(port)?.pool.vnOf(vid),
      vnOf: (vni) => this.infos.vnOf(vni),
    });
    this.#served = new ServedVns({
      fdb: this.fdb,
      gleaned: this.gleaned,
      infos: this.infos,
      local: (vn, vsi) => this.#local(vn, vsi),
      holders: (vn, mac) => this.holders.of(vn, mac),
      at: (port, vn) => this.ports.get(port)?.pool.lent.get(vn)?.holders ?? [],
      prune: (served, lost) => this.#believer.prune(served, lost),
      isHeld: (vn) => this.#isHeld(vn),
      entered: (vn) => this.fdb.watch(vn),
      left: (vn) => this.#forget(vn),
    });
    for (const port of ports) this.#open(port);
  }

  /** @param more other events follow: what becomes different is given out with them, or by `settle` */
  step(event: NveEvent, now: Instant, more = false): readonly NveEffect[] {
    this.#out = [];
    const owner = this.#handle(event, now);
    if (owner !== undefined) this.#owners.push(owner);
    if (!more) this.#settle();
    return this.#out;
  }

  /** What became different in steps after which more was to follow. */
  settle(): readonly NveEffect[] {
    this.#out = [];
    this.#settle();
    return this.#out;
  }

  /** All intents, as the dataplane should have them now. */
  intents(): readonly Intent[] {
    return this.#served.intents();
  }

  /** All that the NVA is to know of us: the first reports of a session (H18). */
  report(): Report {
    return this.#served.report();
  }

  watched(): readonly VnId[] {
    return this.#served.ids;
  }

  /** The active VNICs of a VN. */
  locals(vn: VnId): readonly LocalVnic[] {
    return [...(this.#served.get(vn)?.vnics ?? [])];
  }

  /** Who was said to have each MAC of a VN here. */
  owners(vn: VnId): ReadonlyMap<Mac, LocalVnic> {
    return this.#served.get(vn)?.owners ?? new Map();
  }

  /** Those of a VN who were here and are elsewhere now (M5). */
  departed(vn: VnId): ReadonlyMap<Mac, Departed> {
    return new Map(this.#served.get(vn)?.departed() ?? []);
  }

  /** @returns the VSI whose intents these are, when it waits for them. */
  #handle(event: NveEvent, now: Instant): Waiting | undefined {
    switch (event.on) {
      case "ask":
        return this.#ask(event.ask);
      case "verdicts":
        return this.#verdicts(event, now);
      case "applied":
        return this.#applied(event);
      case "unapplied":
        return this.#unapplied(event);
      case "cancel":
        return this.#cancel(event.vsi);
      case "addresses":
        return this.#addresses(event);
      case "release":
        return this.#release(event.vsi, event.why);
      case "port":
        return this.#open(event.port);
      case "port-gone":
        return this.#portGone(event.name);
      case "nva":
        return this.#nvaIs(event.connected);
      case "vn":
        return this.#vn(event.info);
      case "vn-gone":
        this.#disconnect(event.vn, `VN ${event.vn} was deleted`);
        this.infos.delete(event.vn);
        return this.#served.touch(event.vn);
      case "disconnect":
        return this.#disconnect(event.vn, `the NVA says no: ${event.reason}`, new Set(event.vnics));
      case "departures":
        return this.#served.departed(event, this.#next());
      case "suspended":
        return this.#served.suspended(event.mode);
      case "snapshot-begin":
        return this.fdb.beginSnapshot(event.vn);
      case "snapshot-end":
        return this.#served.touch(event.vn, this.fdb.endSnapshot(event.vn));
      case "remote":
        return this.#remote(event.change, now);
      case "sample":
        return this.#served.touch(this.#believer.take(event.sample, now));
      case "tick":
        for (const { vn, mac, seen } of event.heard) this.gleaned.heard(vn, mac, seen);
        for (const vn of this.gleaned.expire(now)) this.#served.touch(vn);
        return undefined;
      case "link":
        return this.#link(event.port, event.up);
      case "inheritance-over":
        for (const { pool } of this.ports.values()) pool.forget();
        return undefined;
    }
  }

  #open(port: PortOptions): undefined {
    if (this.ports.has(port.name)) return;
    this.ports.set(port.name, new Port(port));
    this.gleaned.limit(port.name, port.maxGleaned ?? MAX_GLEANED);
  }

  #link(name: string, up: boolean): undefined {
    const port = this.ports.get(name);
    if (!port?.linkIs(up)) return;
    for (const vsi of port.vsis) this.#served.touchVsi(vsi, this.tree.content(vsi)?.keys() ?? []);
  }

  /** What was gleaned here and is elsewhere now has moved; what has been elsewhere is the NVA's to decide. */
  #remote(change: RemoteChange, now: Instant): undefined {
    const before = this.fdb.remotes(change.vn);
    const macs = change.mappings.map(({ mac }) => mac);
    for (const mac of macs) if (!before.has(mac)) this.gleaned.movedAway(change.vn, mac, now);
    if (this.fdb.apply(change)) this.#served.touch(change.vn, [...change.withdrawn, ...macs]);
  }

  #ask(ask: Ask): undefined {
    const port = this.#port(ask.port);
    this.#cancel(ask.vsi);
    const vsi = this.vsis.get(ask.vsi);
    const full = vsi === undefined ? port.full(ask.port) : undefined;
    if (full !== undefined) return this.#refuse(ask, full);
    const entries = this.#check(ask);
    if (!isList(entries)) return this.#refuse(ask, entries);
    const serial = this.#next();
    const pending: Pending = { is: "admitting", serial, ask };
    if (vsi === undefined) this.vsis.set(ask.vsi, { ask, pending });
    else vsi.pending = pending;
    port.vsis.add(ask.vsi);
    this.#out.push({ do: "admit", ask, serial, vns: [...new Set(entries.map(({ vn }) => vn))] });
  }

  #verdicts(event: NveEvent & { on: "verdicts" }, now: Instant): Waiting | undefined {
    const vsi = this.vsis.get(event.vsi);
    if (vsi?.pending?.is !== "admitting" || vsi.pending.serial !== event.serial) return undefined;
    const { ask, serial } = vsi.pending;
    const refusal = refusalIn(event.verdicts, this.infos, (info) => this.#learn(info));
    if (this.vsis.get(event.vsi) !== vsi) return undefined; // it was of a VN that is no more
    if (refusal !== undefined) return this.#denied(vsi, ask, refusal);
    const port = this.#port(ask.port);
    const entries = this.#check(ask); // once more: tags and MACs are others' meanwhile
    const vids = isList(entries) ? port.lend(ask, entries, this.infos) : entries;
    if (!isList(entries)) return this.#denied(vsi, ask, entries);
    if (!isList(vids)) return this.#denied(vsi, ask, vids);
    const older = vsi.granted;
    const order = older && stays(ask, older.ask) ? older.order : this.#next();
    const since = older?.ask.mode === ask.mode ? older.since : now;
    const filters = withVids(ask.filters, vids);
    this.#grantNow(vsi, { ask, entries, filters, order, since });
    vsi.pending = { is: "applying", serial, older };
    return { vsi: ask.vsi, serial };
  }

  #check(ask: Ask): readonly Entry[] | Refusal {
    const entries = this.#port(ask.port).check(ask, this.infos);
    if (!isList(entries)) return entries;
    const portOf = (name: string) => this.ports.get(name);
    const held = this.holders.refusalOf(ask, entries, this.vsis, portOf);
    return held ?? overLimits(ask, entries, this.infos, this.#served) ?? entries;
  }

  /** Of a VN that went and came while nobody told us, under its old ID, nobody is a member of the new one (P11). */
  #learn(info: VnInfo): Refusal | undefined {
    const known = this.infos.get(info.vn);
    if (this.infos.isAnother(info))
      this.#disconnect(info.vn, `VN ${info.vn} was deleted: another VN has its ID now`);
    const clash = this.infos.learn(info);
    if (clash === undefined && !sameContent(known, info)) this.#served.touchVn(info.vn);
    return clash;
  }

  #denied(vsi: Vsi, ask: Ask, refusal: Refusal): undefined {
    this.#restore(vsi, vsi.granted);
    this.#refuse(ask, refusal);
  }

  #applied({ vsi: key, serial }: { vsi: string; serial: number }): undefined {
    const vsi = this.vsis.get(key);
    if (vsi?.pending?.is !== "applying" || vsi.pending.serial !== serial) return;
    if (vsi.granted === undefined) return;
    this.#confirm(vsi, vsi.granted);
  }

  #confirm(vsi: Vsi, granted: Granted): undefined {
    const older = vsi.pending?.is === "applying" ? vsi.pending.older : undefined;
    delete vsi.pending;
    this.#keepTags(vsi, granted);
    const { port, vsi: key } = granted.ask;
    this.#out.push({ do: "grant", port, vsi: key, filters: granted.filters });
    const what = older === undefined ? "VSI attached" : "VSI changed";
    this.#log("info", what, standing(granted, this.#port(port).pool));
  }

  #unapplied(event: NveEvent & { on: "unapplied" }): undefined {
    const vsi = this.vsis.get(event.vsi);
    if (vsi?.pending?.is !== "applying" || vsi.pending.serial !== event.serial) return;
    const ask = vsi.granted?.ask ?? vsi.ask;
    this.#restore(vsi, vsi.pending.older);
    this.#refuse(ask, notTaken(event));
  }

  #cancel(key: string): undefined {
    const vsi = this.vsis.get(key);
    if (vsi?.pending === undefined) return;
    this.#restore(vsi, vsi.pending.is === "applying" ? vsi.pending.older : vsi.granted);
  }

  #addresses({ vsi: key, addresses }: NveEvent & { on: "addresses" }): undefined {
    const vsi = this.vsis.get(key);
    if (vsi?.granted === undefined || vsi.pending !== undefined) return;
    const { granted } = vsi;
    const ask = { ...granted.ask, addresses };
    this.#grantNow(vsi, { ...granted, ask });
  }

  #release(key: string, why: string): undefined {
    const vsi = this.vsis.get(key);
    if (vsi === undefined) return;
    const was = vsi.granted?.ask ?? vsi.ask;
    const known = vsi.granted !== undefined;
    this.#restore(vsi, undefined);
    if (known) this.#log("info", "VSI detached", { ...named(was), why });
  }

  #portGone(name: string): undefined {
    for (const vsi of this.ports.get(name)?.vsis ?? []) this.#release(vsi, `port ${name} is gone`);
    this.ports.delete(name);
    this.gleaned.portGone(name);
  }

  #nvaIs(connected: boolean): undefined {
    if (this.#nva === connected) return;
    this.#nva = connected;
    for (const vn of this.#served.ids) this.#served.touchVn(vn);
  }

  #vn(info: VnInfo): undefined {
    if (this.#served.get(info.vn) === undefined) return; // of a VN that we have left meanwhile
    const clash = this.#learn(info);
    if (clash !== undefined) this.#log("warn", "VN change not taken", reasons(clash));
  }

  /** Nobody stays in a VN, or these do not. A VSI of several VNs goes whole, as stations do (spec/vdp.md 3). */
  #disconnect(vn: VnId, why: string, vnics?: ReadonlySet<Uuid>): undefined {
    for (const key of [...this.tree.members(vn)]) {
      const ask = this.vsis.get(key)?.ask;
      if (ask === undefined || vnics?.has(ask.vnic) === false) continue;
      this.#out.push({ do: "order-de-associate", port: ask.port, vsi: key, why });
      this.#release(key, why);
    }
  }

  /** Puts an earlier state of a VSI back in force, or takes the VSI out; nothing is pending afterwards. */
  #restore(vsi: Vsi, granted: Granted | undefined): void {
    delete vsi.pending;
    if (granted !== undefined) this.#grantNow(vsi, granted);
    this.#keepTags(vsi, granted);
    if (granted !== undefined) return;
    delete vsi.granted;
    this.#served.prepared.put(vsi.ask.vsi, vsi.ask.vnic, undefined);
    this.holders.put(vsi.ask.vsi, this.tree.content(vsi.ask.vsi), undefined);
    this.#served.touchVsi(vsi.ask.vsi, this.tree.remove({ vnic: vsi.ask.vsi }));
    this.vsis.delete(vsi.ask.vsi);
    this.#port(vsi.ask.port).vsis.delete(vsi.ask.vsi);
  }

  #grantNow(vsi: Vsi, granted: Granted): void {
    vsi.granted = granted;
    this.#served.prepared.put(granted.ask.vsi, granted.ask.vnic, granted);
    const content = contentOf(granted.entries, granted.ask.addresses);
    this.holders.put(granted.ask.vsi, this.tree.content(granted.ask.vsi), content);
    this.#served.touchVsi(granted.ask.vsi, this.tree.put(granted.ask.vsi, content));
  }

  /** Gives back every tag that the VSI holds beyond those of `granted` (H2). */
  #keepTags(vsi: Vsi, granted: Granted | undefined): void {
    const keep = new Set(granted?.entries.map(({ vn }) => vn));
    for (const vn of this.#port(vsi.ask.port).giveBack(vsi.ask.vsi, keep)) this.#served.touchVn(vn);
  }

  /** Computes anew what events touched, and gives out what became different. */
  #settle(): void {
    const owners = this.#owners;
    if (owners.length === 0 && this.#served.isSettled) return;
    this.#owners = [];
    this.#out.push(...this.#served.settle(this.#nva).effects(owners));
  }

  #isHeld(vn: VnId): boolean {
    return [...this.ports.values()].some(({ pool }) => pool.tagOf(vn) !== undefined);
  }

  /** An NVE holds only what its own VNs need (P4). */
  #forget(vn: VnId): void {
    this.infos.delete(vn);
    this.fdb.unwatch(vn);
    this.gleaned.forget(vn);
  }

  #local(vn: VnId, vsi: string): LocalVnic | undefined {
    const granted = this.vsis.get(vsi)?.granted;
    const macs = this.tree.content(vsi)?.get(vn);
    if (granted === undefined || macs === undefined) return undefined;
    return localVnic(vn, granted, this.#port(granted.ask.port), macs);
  }

  #refuse(ask: Ask, refusal: Refusal): undefined {
    this.#out.push({ do: "refuse", ask, refusal });
    this.#log("warn", "VSI refused", { ...named(ask), code: refusal.code, ...reasons(refusal) });
  }

  #log(level: "info" | "warn", what: string, fields: Record<string, unknown>): void {
    this.#out.push({ do: "log", level, what, fields });
  }

  #next(): number {
    this.#serial += 1;
    return this.#serial;
  }

  #port(name: string): Port {
    const port = this.ports.get(name);
    if (port === undefined) throw new Error(`no port ${name}`); // ports are made from the config
    return port;
  }
}
