import type { Clock, LinkState } from "@nve/linux";
import type { Log } from "@nve/program/log";
import { type Filters, Instant, isIpv6, type Uuid, type VnId } from "@nve/protocol-spec";
import {
  type Ask,
  type Fixed,
  type GleanOptions,
  NveCore,
  type NveEffect,
  type NveEvent,
  type PortOptions,
  type Refusal,
  type Unknown,
  type Verdict,
  type VnInfo,
  type VnRules,
} from "@nve/switch-agent/nve";
import { Applier } from "../applier.ts";
import type { Dataplane } from "../dataplane/dataplane.ts";
import { saidOfFull } from "../dataplane/error.ts";
import { Gleaning } from "../gleaning.ts";
import type { Nva, NvaWiring } from "../nva-client/client.ts";
import type { Self } from "../nva-client/convert.ts";
import { peerNeeds } from "../probe/needs.ts";
import { type ProbeOptions, Probing } from "../probe/probing.ts";
import { Pulling } from "../pulling.ts";
import { groupsOf, Refusals } from "../refusals.ts";
import { Admissions } from "./admissions.ts";
import { announce } from "./announcing.ts";
import { countersOf, isConcerned, reasonOf } from "./aside.ts";
import { Forwardings } from "./forwardings.ts";
import { Inheritance } from "./inheritance.ts";
import { Reconciling } from "./reconciling.ts";
import { Reports } from "./reports.ts";
import { byPort, synced } from "./syncing.ts";

/** Who asked for VSIs on a port, and is told what became of them. */
export interface Asker {
  /** How long whoever waits behind it does so, milliseconds; infinite: nobody does. */
  readonly resourceWaitMs: number;
  /** @param inForce what was asked for, with every tag filled in */
  grant(vsi: string, inForce: Filters | Fixed): void;
  /** What the port has against a VN that the NVA knows (H26). */
  refusalOf?(vn: VnInfo): Refusal | undefined;
  refuse(vsi: string, refusal: Refusal): void;
  /** The VSI is no more, whatever was granted. */
  withdraw(vsi: string, why: string): void;
  /** Sends a frame to who is behind the port. */
  send?(frame: Uint8Array): void;
}

export type NveOptions = {
  self: Self;
  version: string;
  /** Of the dataplane, for people. */
  driver: string;
  /** Those that are there from the start. */
  ports: readonly PortOptions[];
  /** How long what was gleaned is believed, if not as usual. */
  glean?: GleanOptions;
  /** Which VNs are in pull, if any (A18). */
  pullOf?: (info: VnInfo) => Unknown | undefined;
  /** How long what the dataplane had from an earlier run stays without being asked for, milliseconds; default a minute. */
  inheritMs?: number;
  /** Absent: ways to other NVEs are not probed. */
  probe?: ProbeOptions | undefined;
  /** What holds in every VN. */
  vnRules?: Pick<VnRules, "answer" | "floodLimit">;
  clock: Clock;
  log: Log;
  dataplane: Dataplane;
  openNva(wiring: NvaWiring): Nva;
};

/** When settling takes so long, what happens meanwhile is settled together. */
const MANY_MS = 2;
/** An answer waits no longer for settling, unless that takes longer itself. */
const LONG_MS = 20;
/** Events of which many come at once. */
const TOGETHER: ReadonlySet<string> = new Set(["release", "sample", "verdicts"]);

/**
 * An NVE without access ports: core, dataplane and NVA, wired. Each event goes through the core, and what the core
 * says is done here; events that come meanwhile wait for their turn. Who asks is told through `askers`.
 */
export class Nve {
  readonly core: NveCore;
  /** By port. */
  readonly askers = new Map<string, Asker>();
  readonly applier: Applier;
  readonly nva: Nva;
  readonly gleaning: Gleaning;
  readonly pulling: Pulling;
  readonly probing: Probing;
  readonly refusals = new Refusals();
  readonly self: Self;
  readonly version: string;
  readonly driver: string;
  readonly dataplane: Dataplane;
  readonly inheritance: Inheritance;
  readonly reconciling: Reconciling;
  readonly startedUnixMs = Date.now();
  /** Of the ports whose interfaces were seen. */
  readonly portStates = new Map<string, LinkState>();
  /** Told when the NVA is there, or is lost, after the core. */
  readonly onNva = new Set<(connected: boolean) => void>();
  readonly #clock: Clock;
  readonly #log: Log;
  readonly #startedAt: Instant;
  readonly #events: (NveEvent | { on: "settle" })[] = [];
  readonly #admissions: Admissions;
  readonly #forwardings: Forwardings;
  readonly #reports = new Reports((report) => this.nva.report(report));
  #running = false;
  #callOffSettle: (() => void) | undefined;
  #settlesNext = false;
  /** What the last settling took. */
  #settleMs = 0;
  #closed = false;

  constructor(options: NveOptions) {
    const { self, version, driver, ports, glean, pullOf, vnRules } = options;
    const { clock, log, dataplane, openNva } = options;
    this.#clock = clock;
    this.#log = log;
    this.#startedAt = clock.now();
    this.self = self;
    this.version = version;
    this.driver = driver;
    this.dataplane = dataplane;
    this.inheritance = new Inheritance(dataplane.inherited);
    const known = ports.map((port) => ({ ...port, keptTags: this.inheritance.tagsOf(port.name) }));
    this.core = new NveCore(known, glean);
    if (pullOf !== undefined) this.core.infos.pullOf = pullOf;
    this.core.infos.isOverIpv6 = isIpv6(self.vtep);
    if (vnRules !== undefined) this.core.infos.rules = vnRules;
    const feed = (event: NveEvent): void => this.feed(event);
    this.gleaning = new Gleaning({ core: this.core, dataplane, clock, feed });
    this.pulling = new Pulling({ core: this.core, dataplane, nva: () => this.nva, clock, feed });
    this.applier = new Applier(dataplane, clock, log, () => this.core.intents(), this.inheritance);
    this.reconciling = new Reconciling(this, { ...options, patienceMs: options.inheritMs });
    this.#forwardings = new Forwardings(clock, feed);
    this.nva = openNva({
      all: () => {
        this.#reports.clear();
        return { ...this.core.report(), partial: !this.inheritance.isOver };
      },
      onEvent: (event) => {
        if (event.on === "nva") this.reconciling.nvaIs(event.connected);
        if (event.on === "departures") this.#forwardings.hear(event);
        this.feed(event);
        if (event.on === "nva") this.#admissions.nvaChanged();
        if (event.on === "nva") for (const heard of this.onNva) heard(event.connected);
      },
      settled: () => this.applier.settled(),
      told: (vn, most) => this.core.fdb.told(vn, most),
    });
    this.#admissions = new Admissions(this, clock);
    const peers = () => peerNeeds(this.core, (vn) => this.mtuOf(vn));
    const isOverIpv6 = isIpv6(self.vtep);
    this.probing = new Probing({ peers, isOverIpv6, clock, log }, options.probe);
  }

  get closed(): boolean {
    return this.#closed;
  }

  /** `pull.asked`, `digest.differing`, …: what went on with the NVA beside the sessions. */
  get nvaCounters(): Readonly<Record<string, number>> {
    return countersOf(this.pulling, this.nva);
  }

  unixMsOf(instant: Instant): number {
    return Math.round(this.startedUnixMs + (instant - this.#startedAt));
  }

  /** The longest packet that a VN carries, octets: as the NVA has it, and no more than the underlay leaves. */
  mtuOf(vn: VnId): number | undefined {
    const { mtu } = this.core.infos.get(vn) ?? {};
    const room = this.dataplane.mtu;
    return mtu === undefined || room === undefined ? (mtu ?? room) : Math.min(mtu, room);
  }

  /** NVA session ended, dataplane taken down, or, with "keep", left as it is for the next run. */
  async close(how?: "keep"): Promise<void> {
    if (this.#closed) return;
    this.#closed = true;
    this.#callOffSettle?.();
    this.reconciling.close();
    this.gleaning.close();
    this.probing.close();
    this.pulling.close();
    this.#forwardings.close();
    this.nva.close();
    await this.applier.close();
    await this.dataplane.close(how);
  }

  feed(event: NveEvent | { on: "settle" }): void {
    this.#events.push(event);
    if (this.#running || this.#closed) return;
    this.#running = true;
    try {
      for (let next = this.#events.shift(); next !== undefined; next = this.#events.shift()) {
        for (const effect of this.#step(next)) this.#perform(effect);
      }
    } finally {
      this.#running = false;
    }
  }

  /** A port that was not there from the start. */
  openPort(port: PortOptions, asker: Asker): void {
    this.askers.set(port.name, asker);
    this.feed({ on: "port", port });
  }

  /** All that is on it is released, at once and untold; its interface is let go. */
  closePort(name: string): void {
    this.feed({ on: "port-gone", name });
    this.feed({ on: "settle" });
    this.dataplane.portDown(name).catch((error: unknown) => this.#portFault(name, error));
    for (const known of [this.askers, this.portStates]) known.delete(name);
    this.#admissions.forget(name);
  }

  /** The interface of a port came, went, or was made anew. */
  portState(name: string, state: LinkState): void {
    const { dataplane } = this;
    this.portStates.set(name, state);
    this.feed({ on: "link", port: name, up: state === "up" });
    const done = state === "absent" ? dataplane.portDown(name) : dataplane.portUp(name);
    done.catch((error: unknown) => this.#portFault(name, error));
  }

  #portFault(port: string, error: unknown): void {
    this.#log.error({ port, reason: reasonOf(error) }, "the dataplane did not take the port");
  }

  /** Which VN has this name, and may this VNIC join it (H4)? */
  verdictOnName(name: Uuid, ask: Pick<Ask, "vnic" | "hypervisor" | "port">): Promise<Verdict> {
    return this.#admissions.onName(name, ask);
  }

  /** For the record. */
  refused(ask: Pick<Ask, "port" | "vnic" | "filters">, refusal: Refusal): void {
    const { port, vnic } = ask;
    const vns = groupsOf(ask.filters);
    const { code, hard, detail } = refusal;
    const reason = detail === undefined ? refusal.reason : `${refusal.reason}: ${detail}`;
    this.refusals.add({ code, hard, reason, atUnixMs: Date.now(), port, vnic, vns });
  }

  /**
   * Of a silent station thousands of VNICs go at once, what the NVA says of several comes together, and under load
   * much else comes: that is settled together.
   */
  #step(event: NveEvent | { on: "settle" }): readonly NveEffect[] {
    const clock = this.#clock;
    const begun = clock.now();
    const later = this.#callOffSettle !== undefined || this.#settleMs >= MANY_MS;
    const more = TOGETHER.has(event.on) || (event.on !== "settle" && later);
    const effects = event.on === "settle" ? this.core.settle() : this.core.step(event, begun, more);
    if (!more) this.#settleMs = clock.now() - begun;
    else if (event.on === "verdicts") this.#settleNext();
    else this.#settleSoon();
    return effects;
  }

  /** After what is promised already: verdicts that came in one message, for whose VSIs stations wait. */
  #settleNext(): void {
    if (this.#settlesNext) return;
    this.#settlesNext = true;
    this.#callOffSettle?.();
    this.#callOffSettle = () => {};
    queueMicrotask(() => {
      this.#settlesNext = false;
      this.#callOffSettle = undefined;
      this.feed({ on: "settle" });
    });
  }

  /** The longer settling takes, the more is settled together: at the most a fifth of our time goes there. */
  #settleSoon(): void {
    const clock = this.#clock;
    const pauseMs = Math.min(4 * this.#settleMs, Math.max(LONG_MS, this.#settleMs));
    this.#callOffSettle ??= clock.at(Instant(clock.now() + pauseMs), () => {
      this.#callOffSettle = undefined;
      this.feed({ on: "settle" });
    });
  }

  #perform(effect: NveEffect): void {
    switch (effect.do) {
      case "admit":
        void this.#admit(effect);
        return;
      case "intents":
        void this.#apply(effect);
        return;
      case "grant":
        this.askers.get(effect.port)?.grant(effect.vsi, effect.filters);
        return;
      case "refuse":
        this.refused(effect.ask, effect.refusal);
        this.askers.get(effect.ask.port)?.refuse(effect.ask.vsi, effect.refusal);
        return;
      case "order-de-associate":
        this.askers.get(effect.port)?.withdraw(effect.vsi, effect.why);
        return;
      case "watch":
        this.#watch(effect.vns);
        return;
      case "unwatch":
        this.nva.unwatch(effect.vns);
        this.pulling.leave(effect.vns);
        return;
      case "report":
        this.#reports.add(effect);
        return;
      case "departed":
        void this.applier.settled().then(() => this.nva.departed?.(effect.vnics));
        return;
      case "announce":
        void this.applier.settled().then(() => announce(effect.all, this.askers));
        return;
      case "log":
        this.#log[effect.level](effect.fields, effect.what);
        return;
    }
  }

  #watch(vns: readonly VnId[]): void {
    const pulled = vns.filter((vn) => this.core.infos.pull(vn) !== undefined);
    const others = vns.filter((vn) => !pulled.includes(vn));
    this.pulling.enter(pulled);
    this.reconciling.pulled(pulled);
    if (pulled.length > 0) this.nva.watch(pulled, true);
    if (others.length > 0) this.nva.watch(others);
  }

  async #admit({ ask, serial, vns }: NveEffect & { do: "admit" }): Promise<void> {
    const verdicts = await this.#admissions.verdicts(ask, serial, vns);
    this.feed({ on: "verdicts", vsi: ask.vsi, serial, verdicts });
  }

  async #apply({ change, owners }: NveEffect & { do: "intents" }): Promise<void> {
    this.reconciling.ensured(change.ensure);
    const made = this.#reports.hold();
    if (owners.length === 0) return this.applier.keepTrying(change).then(made);
    let took = owners;
    try {
      await this.applier.apply(change);
      made();
    } catch (error) {
      const failed = owners.filter(({ vsi }) => isConcerned(this.core, vsi, error));
      took = owners.filter((owner) => !failed.includes(owner));
      const why = { reason: reasonOf(error), ...saidOfFull(error) };
      for (const owner of failed) this.feed({ on: "unapplied", ...owner, ...why });
      void this.applier.settled().then(made); // with what takes it back
    }
    for (const owners of byPort(this.core, took)) {
      void synced(
        this,
        owners.map(({ vsi }) => vsi),
        this.#clock,
      ).then(() => {
        for (const owner of owners) this.feed({ on: "applied", ...owner });
      });
    }
  }

  resourceWaitMs(port: string): number {
    return this.askers.get(port)?.resourceWaitMs ?? Number.POSITIVE_INFINITY;
  }
}
