import type { Clock, Link } from "@nve/linux";
import { readKeyFile } from "@nve/program/key-file";
import type { Log } from "@nve/program/log";
import type { EvbPolicy, Vid } from "@nve/protocol-spec";
import type { AccessRules, StationAsk } from "@nve/switch-agent/nve";
import type { Config } from "./config.ts";
import type { Dataplane } from "./dataplane/dataplane.ts";
import { vnRulesOf } from "./local/config.ts";
import type { WatchInterface } from "./local/interfaces.ts";
import { pullRule } from "./local/learning.ts";
import { Nve } from "./local/nve.ts";
import type { Nva, NvaWiring } from "./nva-client/client.ts";
import { AccessPort } from "./port/access-port.ts";
import type { PortAuth } from "./port/authentic.ts";
import { type Names, withVnIds } from "./port/vn-names.ts";
import type { ProbeOptions } from "./probe/probing.ts";
import { StaticPorts } from "./static/static-ports.ts";
import type { BindingStore } from "./static/store.ts";

export type AgentOptions = {
  config: Config;
  version: string;
  clock: Clock;
  log: Log;
  dataplane: Dataplane;
  /** 0 up to, not including, 1. */
  random: () => number;
  openLink(port: string): Link;
  /** Of ports without protocol. */
  watchInterface: WatchInterface;
  /** Absent: ways to other NVEs are not probed. */
  probe?: ProbeOptions | undefined;
  bindings: BindingStore;
  openNva(wiring: NvaWiring): Nva;
};

/** The switch agent: an NVE, the access ports whose stations ask it, and ports that an administrator binds. */
export class SwitchAgent extends Nve {
  readonly ports = new Map<string, AccessPort>();
  readonly statics: StaticPorts;
  readonly config: Config;
  readonly #options: AgentOptions;
  /** VSIs whose VN Names the NVA is asked for. */
  readonly #naming = new Map<string, StationAsk>();
  readonly #unwatch: (() => void)[];

  /** @throws Refused when the bindings that were kept, or keys, cannot be read */
  constructor(options: AgentOptions) {
    const { config, random, watchInterface, bindings: store } = options;
    const ports = config.ports.flatMap(({ name, static: vns }) =>
      vns === undefined ? [] : [{ name, static: vns }],
    );
    const kept = ports.length === 0 ? [] : store.load(); // before anything is opened
    const auths = new Map(config.ports.map(({ name, auth }) => [name, auth && authOf(auth)]));
    super({
      ...options,
      self: { nve: config.nve, vtep: config.vtep },
      driver: config.dataplane.driver,
      ports: config.ports.map((port) => ({
        ...port,
        startTag: startTag(port.tags, random()),
        rules: rulesOf(port),
      })),
      vnRules: vnRulesOf(config.dataplane),
      pullOf: pullRule(config),
      inheritMs: config.dataplane.holdSeconds * 1000,
      glean: {
        macMs: config.glean.macSeconds * 1000,
        ipMs: config.glean.ipSeconds * 1000,
        maxPerVn: config.glean.maxPerVn,
      },
    });
    this.#options = options;
    this.config = config;
    this.statics = new StaticPorts({ ...options, nve: this, ports, store, kept });
    this.#unwatch = ports.map(({ name }) =>
      watchInterface(name, (state) => this.portState(name, state)),
    );
    try {
      for (const port of config.ports) {
        if (port.static === undefined) this.#openPort(port, config.evb, auths.get(port.name));
      }
    } catch (error) {
      void this.close(); // what is open by now would keep the process running
      throw error;
    }
  }

  /** LLDP shutdown, NVA session ended, dataplane taken down; with "keep" silence, and frames go on. */
  override async close(how?: "keep"): Promise<void> {
    if (this.closed) return;
    for (const port of this.ports.values()) port.close(how);
    for (const unwatch of this.#unwatch) unwatch();
    this.statics.close();
    await super.close(how);
  }

  #openPort(
    { name, maxAddresses, stations, policy: access }: Config["ports"][number],
    policy: EvbPolicy,
    auth: PortAuth | undefined,
  ): void {
    const { clock, log, random, version, openLink, config } = this.#options;
    const link = openLink(name);
    const port = new AccessPort({
      name,
      nve: config.nve,
      version,
      ...config.lldp,
      link,
      clock,
      policy,
      access,
      auth,
      stations,
      maxAddresses,
      firstSequence: Math.floor(random() * 65536),
      log,
      onAsk: (ask, names) => {
        if (names.size === 0) this.feed({ on: "ask", ask });
        else void this.#name(ask, names);
      },
      onRefused: (ask, refusal) => this.refused(ask, refusal),
      onAddresses: (vsi, addresses) => this.feed({ on: "addresses", vsi, addresses }),
      onCancel: (vsi) => {
        this.#naming.delete(vsi);
        this.feed({ on: "cancel", vsi });
      },
      onRelease: (vsi, why) => {
        this.#naming.delete(vsi);
        this.feed({ on: "release", vsi, why });
      },
      onState: (state) => this.portState(name, state),
      mtuOf: (vn) => this.mtuOf(vn),
    });
    this.ports.set(name, port);
    this.askers.set(name, {
      get resourceWaitMs() {
        return port.resourceWaitMs;
      },
      refusalOf: (vn) => port.door.vn(vn),
      grant: (vsi, inForce) => inForce.by !== "fixed" && port.grant(vsi, inForce),
      refuse: (vsi, refusal) => port.refuse(vsi, refusal),
      withdraw: (vsi, why) => port.withdraw(vsi, why),
      send: (frame) => void link.send(frame),
    });
    if (link.state !== "absent") this.portState(name, link.state);
  }

  /** Finds the VN IDs of the names in a request before the core sees it (H4). */
  async #name(ask: StationAsk, names: Names): Promise<void> {
    const { vsi, port, vnic } = ask;
    this.#naming.set(vsi, ask);
    const outcome = await withVnIds(ask, names, (name) => this.verdictOnName(name, ask));
    if (this.#naming.get(vsi) !== ask) return; // the station has its answer already
    this.#naming.delete(vsi);
    if (!("reason" in outcome)) return this.feed({ on: "ask", ask: outcome });
    const { code, reason } = outcome;
    this.#options.log.warn({ port, vnic, code, reason }, "VSI refused");
    this.refused(ask, outcome);
    this.ports.get(port)?.refuse(vsi, outcome);
  }
}

/** @throws Refused when the keys cannot be read */
const authOf = ({ keys, required }: NonNullable<Config["ports"][number]["auth"]>): PortAuth => ({
  keys: readKeyFile(keys),
  required,
});

/** After a restart lending starts elsewhere: the tags that stations still hold from before are left for them. */
function startTag([first, last]: readonly [Vid, Vid], random: number): Vid {
  return (first + Math.floor(random * (last - first + 1))) as Vid;
}

/** Where MACs are checked their IPs are too, if the config does not say otherwise. */
function rulesOf({
  glean,
  static: fixed,
  checkSource = false,
  checkIps = checkSource,
  floodLimit = "off",
}: Config["ports"][number]): AccessRules {
  return {
    ...((glean ?? fixed !== undefined) && { glean: true }),
    ...(checkSource && { checkSource: true }),
    ...(checkIps && { checkIps: true }),
    ...(floodLimit !== "off" && { floodLimit }),
  };
}
