import { randomUUID } from "node:crypto";
import type { Clock } from "@nve/linux";
import { Refused } from "@nve/program/errors";
import type { Log } from "@nve/program/log";
import { type HypervisorId, Instant, Uuid } from "@nve/protocol-spec";
import {
  type Decision,
  FixedAsks,
  isAway,
  type Nve,
  pauseMs,
  type WatchInterface,
} from "@nve/switch-agent/local";
import {
  type Agent,
  type AttachRequest,
  type ChangeRequest,
  changed,
  type Limit,
  type VnicView,
} from "../agent.ts";
import type { Tree } from "../stations/tree.ts";
import type { VnicState } from "../stations/vnic.ts";
import {
  askOf,
  known,
  type LocalVnic,
  named,
  objection,
  portOf,
  taken,
  viewOf,
  vsiOf,
} from "./vnic.ts";

export type LocalAgentOptions = {
  hypervisor: HypervisorId;
  nve: Nve;
  /** VMs send from the IPs that were said of their MACs alone, if any were (M10). */
  checkIps: boolean;
  clock: Clock;
  log: Log;
  interfaceExists(name: string): boolean;
  /** Why that interface cannot be a VM's; undefined: it may be. */
  notOfVm(name: string): string | undefined;
  /** Octets; undefined for an interface that is not there. */
  mtuOf(name: string): number | undefined;
  watchInterface: WatchInterface;
};

/** What became of a question that somebody waits for. */
type Outcome = { is: "granted" } | { is: "refused"; reason: string } | { is: "off" };

/**
 * The agent of a server that is its own NVE (A8): the same calls, and no protocol behind them. Each VM interface is a
 * port of the NVE; what was attached and is lost with its VN is asked for again until it is back (H25).
 */
export class LocalAgent implements Agent {
  readonly #options: LocalAgentOptions;
  readonly #asks: FixedAsks;
  readonly #vnics = new Map<Uuid, LocalVnic>();
  readonly #warned = new Map<Uuid, string>();

  constructor(options: LocalAgentOptions) {
    this.#options = options;
    this.#asks = new FixedAsks(options.nve, (vsi, why) => this.#withdrawn(vsi, why));
    options.nve.onNva.add((connected) => connected && this.#nvaIsBack());
  }

  async attach(request: AttachRequest, limit: Limit): Promise<VnicView> {
    const { vnic: name = Uuid(randomUUID()), interface: of, vm, tree } = request;
    if (request.uplink !== undefined) {
      throw new Refused(
        "this server is its own NVE: its VNICs go over no uplink, leave --uplink out",
      );
    }
    if (!this.#options.interfaceExists(of)) {
      throw new Refused(`there is no interface ${of} here: create it first, then attach it`);
    }
    const fault =
      this.#options.notOfVm(of) ??
      taken(this.#vnics, name, of) ??
      objection(this.#vnics, name, tree);
    if (fault !== undefined) throw new Refused(fault);
    const vnic = this.#open(name, of, vm, tree);
    const cancel = () => this.#close(vnic, "nobody waits for it any more");
    limit.cancelled?.addEventListener("abort", cancel);
    const outcome = await this.#within(vnic, limit.timeoutMs);
    limit.cancelled?.removeEventListener("abort", cancel);
    if (outcome.is === "granted") return this.#view(vnic);
    this.#close(vnic, "not attached");
    throw new Refused(
      outcome.is === "refused" ? outcome.reason : `VNIC ${name} was detached meanwhile`,
    );
  }

  async change({ vnic: name, add, remove }: ChangeRequest, limit: Limit): Promise<VnicView> {
    const vnic = known(this.#vnics, name);
    const tree = changed(vnic, add, remove);
    if (vnic.busy)
      throw new Refused(`VNIC ${name} is being changed already: try again when that is done`);
    const fault = objection(this.#vnics, name, tree);
    if (fault !== undefined) throw new Refused(fault);
    const older = vnic.wanted;
    vnic.wanted = tree;
    const outcome = await this.#within(vnic, limit.timeoutMs);
    if (outcome.is === "granted") return this.#view(vnic);
    if (outcome.is === "off") throw new Refused(`VNIC ${name} was detached meanwhile`);
    vnic.wanted = older;
    if (vnic.granted === undefined) void this.#pursue(vnic);
    throw new Refused(outcome.reason);
  }

  async detach(name: Uuid): Promise<void> {
    this.#close(known(this.#vnics, name), "detached");
    await this.#options.nve.applier.settled();
  }

  vnics(): readonly VnicView[] {
    return [...this.#vnics.values()].map((vnic) => this.#view(vnic));
  }

  /** The NVA has it before we go: it need not hold what nobody serves. */
  async stop(limitMs: number): Promise<void> {
    const { clock, nve } = this.#options;
    const some = this.#vnics.size > 0;
    for (const vnic of [...this.#vnics.values()]) this.#close(vnic, "the agent ends");
    if (!some) return;
    await new Promise<void>((resolve) => {
      const callOff = clock.at(Instant(clock.now() + limitMs), resolve);
      void Promise.all([nve.applier.settled(), nve.nva.synced([])]).then(() => {
        callOff();
        resolve();
      });
    });
  }

  #open(name: Uuid, of: string, vm: string | undefined, tree: Tree): LocalVnic {
    const { nve, checkIps, watchInterface } = this.#options;
    const vnic: LocalVnic = {
      name,
      interface: of,
      vm,
      wanted: tree,
      granted: undefined,
      state: "associating",
      reason: undefined,
      failures: 0,
      busy: false,
      gone: false,
      callOff: () => {},
      unwatch: () => {},
    };
    this.#vnics.set(name, vnic);
    nve.openPort(portOf(of, checkIps), this.#asks);
    vnic.unwatch = watchInterface(of, (state) => nve.portState(of, state));
    return vnic;
  }

  #close(vnic: LocalVnic, why: string): void {
    if (vnic.gone) return;
    vnic.gone = true;
    vnic.callOff();
    vnic.unwatch();
    this.#vnics.delete(vnic.name);
    this.#warned.delete(vnic.name);
    this.#asks.release(vsiOf(vnic.name), why);
    this.#options.nve.closePort(vnic.interface);
    this.#options.log.info({ vnic: vnic.name, state: "gone", reason: why }, "VNIC");
  }

  /** Asks until it is granted, refused for good, or time is up. */
  async #within(vnic: LocalVnic, timeoutMs: number): Promise<Outcome> {
    const { clock } = this.#options;
    let late = false;
    const callOffEnd = clock.at(Instant(clock.now() + timeoutMs), () => {
      late = true;
      vnic.callOff();
      this.#asks.cancel(vsiOf(vnic.name));
    });
    vnic.busy = true;
    vnic.callOff();
    try {
      let reason = "the NVE has not answered";
      for (let failures = 0; !late; failures++) {
        const decision = await this.#ask(vnic);
        if (vnic.gone) return { is: "off" };
        if (decision.is === "granted") return { is: "granted" };
        if (decision.is === "off") continue; // time is up
        reason = this.#refusalText(vnic, decision);
        if (!isAway(decision.refusal)) return { is: "refused", reason };
        vnic.reason = reason;
        await this.#pause(vnic, pauseMs(true, failures));
        if (vnic.gone) return { is: "off" };
      }
      return { is: "refused", reason: `not connected in time: ${reason}` };
    } finally {
      callOffEnd();
      vnic.busy = false;
    }
  }

  async #ask(vnic: LocalVnic): Promise<Decision> {
    const asked = vnic.wanted;
    const decision = await this.#asks.ask(askOf(vnic, this.#options.hypervisor));
    if (decision.is !== "granted" || vnic.gone) return decision;
    const tree = named(asked, decision.vns);
    if (vnic.wanted === asked) vnic.wanted = tree;
    vnic.granted = tree;
    vnic.failures = 0;
    this.#become(vnic, "associated", undefined);
    this.#warnOfMtu(vnic);
    return decision;
  }

  /** What was attached before, in the background, until it is again. */
  async #pursue(vnic: LocalVnic): Promise<void> {
    if (vnic.gone || vnic.busy) return;
    vnic.callOff();
    const decision = await this.#ask(vnic);
    if (vnic.gone || vnic.busy || decision.is !== "refused") return;
    const away = isAway(decision.refusal);
    this.#lost(vnic, away ? "waiting" : "refused", this.#refusalText(vnic, decision));
  }

  #lost(vnic: LocalVnic, state: "waiting" | "refused", reason: string): void {
    if (vnic.state !== state) vnic.failures = 0;
    vnic.granted = undefined;
    this.#become(vnic, state, reason);
    const { clock } = this.#options;
    const at = Instant(clock.now() + pauseMs(state === "waiting", vnic.failures));
    vnic.failures += 1;
    vnic.callOff();
    vnic.callOff = clock.at(at, () => void this.#pursue(vnic));
  }

  #withdrawn(vsi: string, why: string): void {
    const vnic = [...this.#vnics.values()].find(({ name }) => vsiOf(name) === vsi);
    if (vnic !== undefined) this.#lost(vnic, "refused", `the NVE disconnected it: ${why}`);
  }

  #nvaIsBack(): void {
    for (const vnic of this.#vnics.values()) {
      if (vnic.busy) vnic.callOff();
      else if (vnic.state === "waiting") void this.#pursue(vnic);
    }
  }

  /** `callOff` ends it early. */
  #pause(vnic: LocalVnic, ms: number): Promise<void> {
    const { clock } = this.#options;
    return new Promise((resolve) => {
      const callOff = clock.at(Instant(clock.now() + ms), resolve);
      vnic.callOff = () => {
        callOff();
        resolve();
      };
    });
  }

  #become(vnic: LocalVnic, state: VnicState, reason: string | undefined): void {
    const same = vnic.state === state && vnic.reason === reason;
    vnic.state = state;
    vnic.reason = reason;
    if (same) return;
    const fields = { vnic: vnic.name, state, ...(reason !== undefined && { reason }) };
    this.#options.log.info(fields, "VNIC");
  }

  /** Once for each fault. */
  #warnOfMtu(vnic: LocalVnic): void {
    const { reason: warning } = this.#view(vnic);
    if (warning === undefined) this.#warned.delete(vnic.name);
    else if (this.#warned.get(vnic.name) !== warning) {
      this.#warned.set(vnic.name, warning);
      this.#options.log.warn({ vnic: vnic.name, interface: vnic.interface }, warning);
    }
  }

  #refusalText({ wanted }: LocalVnic, { refusal }: Decision & { is: "refused" }): string {
    const vns = wanted.map(({ vn }) => vn).join(", ");
    const { reason, detail } = refusal;
    const why = detail === undefined ? reason : `${reason}: ${detail}`;
    return `the NVE refused ${wanted.length === 1 ? "VN" : "VNs"} ${vns}: ${why}`;
  }

  #view(vnic: LocalVnic): VnicView {
    const { nve, mtuOf } = this.#options;
    return viewOf(vnic, nve, mtuOf(vnic.interface));
  }
}
