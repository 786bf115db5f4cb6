import type { Clock } from "@nve/linux";
import { Instant, type Uuid, type VnId } from "@nve/protocol-spec";
import {
  type Ask,
  contentOf,
  type Entry,
  entriesOf,
  isAdmitted,
  type NveCore,
  type Verdict,
} from "@nve/switch-agent/nve";
import { Gate } from "../gate.ts";
import type { Nva } from "../nva-client/client.ts";
import type { Asker } from "./nve.ts";
import { UnknownVns } from "./unknown-vns.ts";

/** Of the NVE, what its decisions need. */
type Surroundings = {
  readonly core: NveCore;
  readonly nva: Nva;
  readonly askers: ReadonlyMap<string, Asker>;
  /** How long whoever asks at a port waits, milliseconds. */
  resourceWaitMs(port: string): number;
};

/** How long the NVA may take to admit a VNIC; less where whoever asked waits for less. */
const ADMIT_MS = 2000;
/** Decisions of one port that the NVA is asked for at a time: the other ports, and our own CLI, get their turn. */
const ADMITS = 16;

/** Who may join which VN: the NVA is asked, and the port may yet refuse (H26). */
export class Admissions {
  readonly #around: Surroundings;
  readonly #clock: Clock;
  readonly #gates = new Map<string, Gate>();
  readonly #unknown: UnknownVns;

  constructor(around: Surroundings, clock: Clock) {
    this.#around = around;
    this.#clock = clock;
    this.#unknown = new UnknownVns(clock);
  }

  /** May this VSI join these VNs? Never rejects. @param serial of what is pending of it */
  async verdicts(
    ask: Ask,
    serial: number,
    vns: readonly VnId[],
  ): Promise<ReadonlyMap<VnId, Verdict>> {
    const timeoutMs = Math.min(ADMIT_MS, this.#around.resourceWaitMs(ask.port) / 3);
    const deadline = Instant(this.#clock.now() + timeoutMs);
    const entries = this.#entriesOf(ask);
    const isIn = isAdmitted(ask, entries, this.#around.core.vsis.get(ask.vsi)?.granted);
    const judge = async (vn: VnId): Promise<[VnId, Verdict]> => {
      const known = isIn ? this.#around.core.infos.get(vn) : undefined;
      if (known === undefined) return this.#onVn(ask, serial, vn, deadline);
      return [vn, this.#atPort(ask.port, vn, { is: "granted", info: known })];
    };
    const said = await Promise.all(vns.map(judge));
    return new Map(said);
  }

  /** Which VN has this name, and may this VNIC join it (H4)? */
  async onName(name: Uuid, ask: Pick<Ask, "vnic" | "hypervisor" | "port">): Promise<Verdict> {
    const { core, nva } = this.#around;
    const info = [...core.infos.values()].find((known) => known.name === name);
    if (info !== undefined) return { is: "granted", info };
    const { vnic, hypervisor, port } = ask;
    const unknown = this.#unknown.recall(port, name);
    if (unknown !== undefined) return unknown;
    const timeoutMs = Math.min(ADMIT_MS, this.#around.resourceWaitMs(port) / 4);
    const asked = { vn: name, vnic, hypervisor, port, content: new Map() };
    const said = await nva.admit(asked, timeoutMs);
    this.#unknown.heard(port, name, said);
    return said;
  }

  /** The NVA is there, or is lost: another may know more. */
  nvaChanged(): void {
    this.#unknown.clear();
  }

  /** The port is gone. */
  forget(port: string): void {
    this.#gates.delete(port);
    this.#unknown.forget(port);
  }

  async #onVn(ask: Ask, serial: number, vn: VnId, deadline: Instant): Promise<[VnId, Verdict]> {
    const { is, reason } = this.#around.nva.state;
    const fromMemory = is !== "connected" && this.#around.core.infos.has(vn);
    const verdict: Verdict = fromMemory // what is known is enough
      ? { is: "unreachable", reason }
      : await this.#gate(ask.port).through(() => this.#asked(ask, serial, vn, deadline));
    return [vn, this.#atPort(ask.port, vn, verdict)];
  }

  async #asked(ask: Ask, serial: number, vn: VnId, deadline: Instant): Promise<Verdict> {
    const { core, nva } = this.#around;
    const timeoutMs = deadline - this.#clock.now();
    const wanted = core.vsis.get(ask.vsi)?.pending?.serial === serial; // or cancelled meanwhile
    if (timeoutMs <= 0 || !wanted) {
      const { is, reason } = nva.state;
      return { is: "unreachable", reason: is === "connected" ? "no answer in time" : reason };
    }
    const { vnic, hypervisor, port, station, authenticated } = ask;
    const unknown = this.#unknown.recall(port, vn);
    if (unknown !== undefined) return unknown;
    const content = contentOf(this.#entriesOf(ask), ask.addresses);
    const by = { ...(station && { station }), ...(authenticated && { authenticated }) };
    const said = await nva.admit({ vn, vnic, hypervisor, port, ...by, content }, timeoutMs);
    this.#unknown.heard(port, vn, said);
    return said;
  }

  #entriesOf({ port, filters }: Ask): readonly Entry[] {
    const pool = this.#around.core.ports.get(port)?.pool;
    const entries = entriesOf(filters, (vid) => pool?.vnOf(vid));
    return "code" in entries ? [] : entries;
  }

  /** What the NVA grants the port may yet refuse. */
  #atPort(port: string, vn: VnId, verdict: Verdict): Verdict {
    const { askers, core } = this.#around;
    const info = verdict.is === "granted" ? verdict.info : core.infos.get(vn);
    if (verdict.is === "denied" || info === undefined) return verdict;
    const refusal = askers.get(port)?.refusalOf?.(info);
    return refusal === undefined ? verdict : { ...refusal, is: "denied" };
  }

  #gate(port: string): Gate {
    const gate = this.#gates.get(port) ?? new Gate(ADMITS);
    this.#gates.set(port, gate);
    return gate;
  }
}
