import {
  type IpAddress,
  type Mac,
  NveId,
  type Uuid,
  VdpError,
  VnId,
  Vni,
} from "@nve/protocol-spec";
import type {
  Admission,
  Nva,
  NvaClientOptions,
  NvaState,
} from "@nve/switch-agent/nva-client/client";
import type { Found } from "@nve/switch-agent/nva-client/lookup";
import type { Report, Verdict } from "@nve/switch-agent/nve";
import type { Wanted } from "@nve/switch-agent/pull/pull";

type Wiring = Pick<NvaClientOptions, "onEvent">;

/** An NVA that knows VNs 1 … 5999, unless the test says otherwise (VNI = VN + 10000) and does as the test says. */
export class ScriptedNva implements Nva {
  state: NvaState = { is: "connecting", address: "nva:7470", reason: "", applied: 0n };
  readonly admitted: Admission[] = [];
  readonly names = new Map<Uuid, VnId>();
  /** Which VNs there are. */
  readonly known = {
    has: (vn: number) => this.#has(vn),
    add: (vn: number) => this.#is(vn, true),
    delete: (vn: number) => this.#is(vn, false),
  };
  readonly mtus = new Map<number, number>();
  readonly watched = new Set<VnId>();
  /** VNs in pull, with the MACs that are to be told. */
  readonly selected = new Map<VnId, Set<Mac>>();
  /** What is asked for, and how each question is answered. */
  readonly asked: { vn: VnId; wanted: Wanted }[] = [];
  answer: (vn: VnId, wanted: Wanted) => Found | Promise<Found> = () => ({ is: "unreachable" });
  readonly reports: Report[] = [];
  /** What `admit` waits for. */
  gate: Promise<void> = Promise.resolve();
  /** Until when an answer waits: the NVA is slow to store. */
  stored: Promise<void> = Promise.resolve();
  closed = false;
  /** How often it was told that all is reported. */
  wholes = 0;
  readonly #told = new Map<number, boolean>();
  readonly #wiring: Wiring;

  constructor(wiring: Wiring) {
    this.#wiring = wiring;
  }

  connect(connected = true): void {
    const is = connected ? "connected" : "lost";
    this.state = { ...this.state, is };
    this.#wiring.onEvent({ on: "nva", connected });
  }

  async admit(ask: Admission): Promise<Verdict> {
    this.admitted.push(ask);
    await this.gate;
    if (this.state.is !== "connected") return { is: "unreachable", reason: "connection refused" };
    const vn = typeof ask.vn === "number" ? ask.vn : this.names.get(ask.vn);
    if (vn === undefined || !this.known.has(vn)) {
      const code = VdpError.invalidVidGroupOrMac;
      return { is: "denied", code, hard: false, reason: `no VN ${ask.vn}`, unknownVn: true };
    }
    const [name] = [...this.names].flatMap(([name, of]) => (of === vn ? [{ name }] : []));
    const octets = this.mtus.get(vn);
    const mtu = octets === undefined ? {} : { mtu: octets };
    return {
      is: "granted",
      info: { vn, vni: Vni(vn + 10_000), alias: `vn-${vn}`, ...name, ...mtu },
    };
  }

  #has(vn: number): boolean {
    return this.#told.get(vn) ?? vn < 6000;
  }

  #is(vn: number, there: boolean): void {
    this.#told.set(vn, there);
  }

  watch(vns: readonly VnId[], pull = false): void {
    for (const vn of vns) {
      this.watched.add(vn);
      if (pull) this.selected.set(vn, new Set());
      this.#wiring.onEvent({ on: "snapshot-end", vn });
    }
  }

  unwatch(vns: readonly VnId[]): void {
    for (const vn of vns) this.watched.delete(vn);
    for (const vn of vns) this.selected.delete(vn);
  }

  select(vn: VnId, add: readonly Mac[], remove: readonly Mac[]): void {
    for (const mac of remove) this.selected.get(vn)?.delete(mac);
    for (const mac of add) this.selected.get(vn)?.add(mac);
  }

  async lookup(vn: VnId, wanted: Wanted): Promise<Found> {
    this.asked.push({ vn, wanted });
    return this.answer(vn, wanted);
  }

  report(report: Report): void {
    this.reports.push(report);
  }

  whole(): void {
    this.wholes += 1;
  }

  synced(): Promise<void> {
    return this.stored;
  }

  close(): void {
    this.closed = true;
  }

  remote(vn: number, mac: Mac, vtep: IpAddress): void {
    const nve = NveId("tor2");
    const change = { vn: VnId(vn), mappings: [{ mac, ips: [], nve, vtep }], withdrawn: [] };
    this.#wiring.onEvent({
      on: "remote",
      change: { ...change, members: [{ nve, vtep }], membersLeft: [] },
    });
  }

  /** It may not be there, or no more. */
  turnAway(vn: number, vnic: Uuid, reason: string): void {
    this.#wiring.onEvent({ on: "disconnect", vn: VnId(vn), vnics: [vnic], reason });
  }

  deleteVn(vn: number): void {
    this.#wiring.onEvent({ on: "vn-gone", vn: VnId(vn) });
  }
}
