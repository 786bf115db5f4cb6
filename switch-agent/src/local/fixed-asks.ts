import { type IpPrefix, type Mac, type Uuid, VdpError, type VnId } from "@nve/protocol-spec";
import type { Ask, Fixed, PortTag, Refusal } from "@nve/switch-agent/nve";
import type { Asker, Nve } from "./nve.ts";

/** A VN of what is attached without a protocol: by VN ID or VN Name, with its tag and its addresses. */
export type FixedVn = {
  vn: VnId | Uuid;
  tag: PortTag;
  macs: readonly { mac: Mac; ips: readonly IpPrefix[] }[];
};

/** As `Ask`, of what has no station: tags that are given; active, unless a stage of a migration is said. */
export type FixedAsk = Pick<
  Ask,
  "vsi" | "port" | "vnic" | "hypervisor" | "vm" | "origin" | "rules"
> &
  Partial<Pick<Ask, "mode" | "suspended" | "migrating">> & { vns: readonly FixedVn[] };

export type Decision =
  /** `vns`: which VN each is, in the order of the question. */
  | { is: "granted"; vns: readonly VnId[] }
  | { is: "refused"; refusal: Refusal }
  /** Asked anew, or released, meanwhile: that counts. */
  | { is: "off" };

type Question = { filters?: Ask["filters"]; decided: (decision: Decision) => void };

/** Asks an NVE for what no station asks for (A8, A11): one answer to each question, VN Names resolved before it. */
export class FixedAsks implements Asker {
  readonly resourceWaitMs = Number.POSITIVE_INFINITY;
  readonly #nve: Nve;
  readonly #open = new Map<string, Question>();
  readonly #withdrawn: (vsi: string, why: string) => void;

  /** @param withdrawn is told of what was granted and is no more, the VN being deleted; all of it is released then */
  constructor(nve: Nve, withdrawn: (vsi: string, why: string) => void) {
    this.#nve = nve;
    this.#withdrawn = withdrawn;
  }

  /** What was granted before stays as it is until this is, and when it is refused. Never rejects. */
  async ask(wanted: FixedAsk): Promise<Decision> {
    const { vns: _, ...who } = wanted;
    this.#settle(who.vsi, { is: "off" });
    const question: Question = { decided: () => {} };
    const decided = new Promise<Decision>((resolve) => {
      question.decided = resolve;
    });
    this.#open.set(who.vsi, question);
    const vns = await this.#resolved(wanted);
    if (this.#open.get(who.vsi) !== question) return { is: "off" };
    const ask: Ask = { mode: "associate", suspended: false, ...who, ...contentOf(vns) };
    if ("code" in vns) {
      this.#nve.refused(ask, vns);
      this.#settle(who.vsi, { is: "refused", refusal: vns });
      return decided;
    }
    question.filters = ask.filters;
    this.#nve.feed({ on: "ask", ask });
    const decision = await decided;
    return decision.is === "granted" ? { ...decision, vns: vns.map(({ vn }) => vn) } : decision;
  }

  /** What was asked last is off; what was granted before stays. */
  cancel(vsi: string): void {
    this.#settle(vsi, { is: "off" });
    this.#nve.feed({ on: "cancel", vsi });
  }

  /** At once; what was never granted is gone. */
  release(vsi: string, why: string): void {
    this.#settle(vsi, { is: "off" });
    this.#nve.feed({ on: "release", vsi, why });
  }

  grant(vsi: string, inForce: Ask["filters"]): void {
    if (this.#open.get(vsi)?.filters === inForce) this.#settle(vsi, { is: "granted", vns: [] });
  }

  refuse(vsi: string, refusal: Refusal): void {
    this.#settle(vsi, { is: "refused", refusal });
  }

  withdraw(vsi: string, why: string): void {
    this.#settle(vsi, { is: "off" });
    this.#withdrawn(vsi, why);
  }

  #settle(vsi: string, decision: Decision): void {
    const question = this.#open.get(vsi);
    this.#open.delete(vsi);
    question?.decided(decision);
  }

  /** Each VN by its VN ID; or why one is not to be had. */
  async #resolved({ vns, ...who }: FixedAsk): Promise<readonly Resolved[] | Refusal> {
    const resolved: Resolved[] = [];
    for (const { vn, ...more } of vns) {
      if (typeof vn === "number") {
        resolved.push({ vn, ...more });
        continue;
      }
      const verdict = await this.#nve.verdictOnName(vn, who);
      if (verdict.is === "denied") return verdict;
      if (verdict.is === "unreachable") return unreachable(vn, verdict.reason);
      resolved.push({ vn: verdict.info.vn, ...more });
    }
    return resolved;
  }
}

type Resolved = FixedVn & { vn: VnId };

function contentOf(
  vns: readonly Resolved[] | Refusal,
): Pick<Ask, "addresses"> & { filters: Fixed } {
  if ("code" in vns) return { filters: { by: "fixed", entries: [] } };
  const entries = vns.flatMap(({ vn, tag, macs }) =>
    macs.length === 0 ? [{ vn, tag }] : macs.map(({ mac }) => ({ vn, tag, mac })),
  );
  const addresses = vns.flatMap(({ vn, macs }) =>
    macs.flatMap(({ mac, ips }) => ips.map((ip) => ({ vn, mac, ip }))),
  );
  return { filters: { by: "fixed", entries }, addresses };
}

const unreachable = (vn: Uuid, why: string): Refusal => ({
  code: VdpError.managerUnreachable,
  hard: false,
  reason: `VN ${vn} is not known here and the NVA cannot be asked: ${why}`,
});
