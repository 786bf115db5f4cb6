import type { Clock } from "@nve/linux";
import { NotFound, Refused } from "@nve/program/errors";
import type { Log } from "@nve/program/log";
import { Instant, type VnId } from "@nve/protocol-spec";
import { FixedAsks } from "../local/fixed-asks.ts";
import type { Nve } from "../local/nve.ts";
import { isAway, pauseMs } from "../local/retry.ts";
import {
  type Binding,
  type BindingState,
  type BindingView,
  keyOf,
  type Origin,
  placeText,
  vnicNameOf,
} from "./binding.ts";
import type { StaticVn } from "./config.ts";
import type { BindingStore } from "./store.ts";

export type StaticPort = { name: string; static: readonly StaticVn[] };

export type StaticPortsOptions = {
  nve: Nve;
  ports: readonly StaticPort[];
  /** What the store has from before. */
  kept: readonly Binding[];
  store: Pick<BindingStore, "save">;
  clock: Clock;
  log: Log;
};

/** A binding on its way; `state` and `reason` are those of the last answer. */
type Entry = {
  binding: Binding;
  origin: Origin;
  state: BindingState;
  reason: string;
  vnId: VnId | undefined;
  failures: number;
  gone: boolean;
  callOff: () => void;
  /** Of the first answer. */
  decided: Promise<void>;
};

/** How long `bind` waits for the answer that it shows. */
const PATIENCE_MS = 3000;

/**
 * Ports without protocol (A11, H15): what the config and the control API bind to VNs is asked for like a VSI, kept
 * asking for while it cannot be had, and taken back with its VN.
 */
export class StaticPorts {
  readonly #options: StaticPortsOptions;
  readonly #asks: FixedAsks;
  /** Names of the ports without protocol. */
  readonly ports: readonly string[];
  readonly #entries = new Map<string, Entry>();
  /** Of the store, for ports or tags that the config has otherwise now: kept, and not in force. */
  readonly #dormant: readonly Binding[];

  constructor(options: StaticPortsOptions) {
    const { nve, ports, kept, log } = options;
    this.#options = options;
    this.ports = ports.map(({ name }) => name);
    this.#asks = new FixedAsks(nve, (vsi, why) => this.#withdrawn(vsi, why));
    for (const { name } of ports) nve.askers.set(name, this.#asks);
    nve.onNva.add((connected) => connected && this.#nvaIsBack());
    for (const { name, static: vns } of ports) {
      for (const vn of vns) this.#add({ port: name, ...vn }, "config");
    }
    this.#dormant = kept.filter((binding) => this.#objection(binding) !== undefined);
    for (const binding of kept) {
      const objection = this.#objection(binding);
      if (objection === undefined) this.#add(binding, "api");
      else
        log.warn({ port: binding.port, tag: binding.tag }, `kept binding left out: ${objection}`);
    }
  }

  list(): readonly BindingView[] {
    return [...this.#entries.values()].map((entry) => this.#view(entry));
  }

  /**
   * Binds, and keeps it over restarts. Resolves with what came of it, or after 3 s with "deciding".
   * @throws Refused when the port is none without protocol, or bound otherwise already
   */
  async bind(binding: Binding): Promise<BindingView> {
    const known = this.#entries.get(keyOf(binding));
    if (known?.origin === "api" && same(known.binding, binding)) return this.#view(known);
    const objection = this.#objection(binding);
    if (objection !== undefined) throw new Refused(objection);
    this.#save([...this.#api(), binding]);
    const entry = this.#add(binding, "api");
    await this.#soon(entry.decided);
    return this.#view(entry);
  }

  /** Frames stop at once. @throws NotFound; Refused when the config binds it */
  unbind(place: Pick<Binding, "port" | "tag">): void {
    const key = keyOf(place);
    const entry = this.#entries.get(key);
    if (entry === undefined) throw new NotFound(`${placeText(place)}: there is no such binding`);
    if (entry.origin === "config") {
      throw new Refused(`${placeText(place)}, is bound by the config file: change it there`);
    }
    this.#save(this.#api().filter((binding) => keyOf(binding) !== key));
    entry.gone = true;
    entry.callOff();
    this.#entries.delete(key);
    this.#asks.release(key, "unbound");
  }

  close(): void {
    for (const entry of this.#entries.values()) {
      entry.gone = true;
      entry.callOff();
    }
  }

  #add(binding: Binding, origin: Origin): Entry {
    const entry: Entry = {
      binding,
      origin,
      state: "deciding",
      reason: "",
      vnId: typeof binding.vn === "number" ? binding.vn : undefined,
      failures: 0,
      gone: false,
      callOff: () => {},
      decided: Promise.resolve(),
    };
    this.#entries.set(keyOf(binding), entry);
    entry.decided = this.#pursue(entry);
    return entry;
  }

  async #pursue(entry: Entry): Promise<void> {
    entry.callOff();
    const { port, tag, vn, macs, strict } = entry.binding;
    const { nve } = this.#options.nve.self;
    const decision = await this.#asks.ask({
      vsi: keyOf(entry.binding),
      port,
      vnic: vnicNameOf(nve, entry.binding),
      hypervisor: nve,
      origin: "static",
      ...(strict && { rules: { checkSource: true, checkIps: true } }),
      vns: [{ vn, tag, macs }],
    });
    if (entry.gone || decision.is === "off") return;
    if (decision.is === "granted") {
      Object.assign(entry, { state: "bound", reason: "", failures: 0, vnId: decision.vns[0] });
      return;
    }
    const away = isAway(decision.refusal);
    this.#failed(entry, away ? "waiting" : "refused", decision.refusal.reason);
  }

  #failed(entry: Entry, state: "waiting" | "refused", reason: string): void {
    if (entry.state !== state) entry.failures = 0;
    const { clock } = this.#options;
    const at = Instant(clock.now() + pauseMs(state === "waiting", entry.failures));
    Object.assign(entry, { state, reason, failures: entry.failures + 1 });
    entry.callOff();
    entry.callOff = clock.at(at, () => void this.#pursue(entry));
  }

  #withdrawn(key: string, why: string): void {
    const entry = this.#entries.get(key);
    if (entry !== undefined) this.#failed(entry, "refused", why);
  }

  #nvaIsBack(): void {
    for (const entry of this.#entries.values()) {
      if (entry.state === "waiting") void this.#pursue(entry);
    }
  }

  /** Why this cannot be bound here through the API, for good. */
  #objection(binding: Binding): string | undefined {
    const { port } = binding;
    if (!this.ports.includes(port)) {
      const these =
        this.ports.length === 0 ? "there is none" : `these are ${this.ports.join(", ")}`;
      return `port ${port} is no port without protocol, ${these}: \`static: []\` in the config makes it one`;
    }
    const other =
      this.#entries.get(keyOf(binding)) ??
      [...this.#entries.values()].find(
        ({ binding: of }) => of.port === port && of.vn === binding.vn,
      );
    if (other === undefined) return undefined;
    const by = other.origin === "config" ? "the config binds it" : "unbind it first";
    return `${placeText(other.binding)}, is bound to VN ${other.binding.vn} already: ${by}`;
  }

  #api(): Binding[] {
    const entries = [...this.#entries.values()].filter(({ origin }) => origin === "api");
    return entries.map(({ binding }) => binding);
  }

  #save(bindings: readonly Binding[]): void {
    const places = new Set(bindings.map(keyOf));
    const dormant = this.#dormant.filter((binding) => !places.has(keyOf(binding)));
    this.#options.store.save([...bindings, ...dormant]);
  }

  #soon(decided: Promise<void>): Promise<void> {
    const { clock } = this.#options;
    return new Promise((resolve) => {
      const callOff = clock.at(Instant(clock.now() + PATIENCE_MS), resolve);
      void decided.then(() => {
        callOff();
        resolve();
      });
    });
  }

  #view({ binding, origin, state, reason, vnId }: Entry): BindingView {
    const { self, core } = this.#options.nve;
    const named = typeof binding.vn === "string" ? binding.vn : undefined;
    const known = vnId === undefined ? undefined : core.infos.get(vnId)?.name;
    const vnName = named ?? known;
    return { ...binding, origin, state, reason, vnic: vnicNameOf(self.nve, binding), vnId, vnName };
  }
}

const same = (a: Binding, b: Binding): boolean => JSON.stringify(a) === JSON.stringify(b);
