import { isIpv6, VdpError, type VnId, type Vni } from "@nve/protocol-spec";
import type { Suspended, VnRules } from "./intents.ts";
import { MAX_ACL_RULES } from "./profile.ts";
import type { Refusal, Verdict, VnInfo } from "./vsi.ts";

/** Until it is known where a MAC is: its frames are flooded, or dropped. */
export type Unknown = "flood" | "drop";

/** Packets for addresses whose user is suspended (M8). */
export type SuspendedMode = "deliver" | Suspended;

/** What the NVA told of each VN, to be found by its VNI too. */
export class VnInfos extends Map<VnId, VnInfo> {
  /** Which VNs are in pull (A18), and what becomes of frames for unknown MACs there. */
  pullOf: (info: VnInfo) => Unknown | undefined = () => undefined;
  /** What holds in every VN. */
  rules: Pick<VnRules, "answer" | "floodLimit"> = {};
  /** Of VNs that do not say it themselves. */
  suspended: SuspendedMode = "deliver";
  /** The underlay is IPv6: groups of the other family are none for us. */
  isOverIpv6 = false;
  readonly #vns = new Map<Vni, VnId>();
  readonly #pulled = new Map<VnId, Unknown | undefined>();

  /** As was found when it became known, for as long as it is; undefined: its mappings are told without being asked for. */
  pull(vn: VnId): Unknown | undefined {
    return this.#pulled.get(vn);
  }

  /** The group that a VN has in the underlay, and whether frames to all go there. */
  group(vn: VnId): Pick<VnRules, "group" | "sendToGroup"> {
    const { groups = [], byGroup = false } = this.get(vn)?.flooding ?? {};
    const group = groups.find((one) => isIpv6(one) === this.isOverIpv6);
    if (group === undefined) return {};
    return { group, ...(byGroup && { sendToGroup: true }) };
  }

  /** What becomes of packets for suspended addresses. */
  suspendedIn(vn: VnId): Pick<VnRules, "suspended"> {
    const mode = this.get(vn)?.suspended ?? this.suspended;
    return mode === "deliver" ? {} : { suspended: mode };
  }

  vnOf(vni: Vni): VnId | undefined {
    return this.#vns.get(vni);
  }

  /** Has another VN the ID of one that is known? Names are for ever (H4). */
  isAnother({ vn, name }: VnInfo): boolean {
    const known = this.get(vn)?.name;
    return known !== undefined && name !== undefined && known !== name;
  }

  /** Two VNs with one VNI would be one (P11): the second is refused, and the first stays as it is. */
  learn(info: VnInfo): Refusal | undefined {
    const other = this.vnOf(info.vni);
    if (other !== undefined && other !== info.vn) {
      const reason = `VN ${info.vn} cannot be told from VN ${other} on the underlay`;
      return { code: VdpError.other, hard: false, reason, detail: `both have VNI ${info.vni}` };
    }
    const rules = info.profile?.acl.length ?? 0;
    if (rules > MAX_ACL_RULES) {
      const reason = `the profile of VN ${info.vn} has ${rules} ACL rules: this NVE enforces ${MAX_ACL_RULES} at most`;
      return { code: VdpError.insufficientResources, hard: false, reason };
    }
    this.set(info.vn, info);
    return undefined;
  }

  override set(vn: VnId, info: VnInfo): this {
    const pulled = this.has(vn) ? this.#pulled.get(vn) : this.pullOf(info);
    this.delete(vn);
    this.#pulled.set(vn, pulled);
    this.#vns.set(info.vni, vn);
    return super.set(vn, info);
  }

  override delete(vn: VnId): boolean {
    const info = this.get(vn);
    if (info !== undefined) this.#vns.delete(info.vni);
    this.#pulled.delete(vn);
    return super.delete(vn);
  }
}

/** What there is of a VN beside its names. */
export const sameContent = (a: VnInfo | undefined, b: VnInfo): boolean =>
  a !== undefined &&
  a.vni === b.vni &&
  a.mtu === b.mtu &&
  a.suspended === b.suspended &&
  isAlike(a.profile, b.profile) &&
  isAlike(a.flooding, b.flooding);

const isAlike = (a: object | undefined, b: object | undefined): boolean =>
  a === b || JSON.stringify(a) === JSON.stringify(b);

/**
 * Takes what the NVA said. Away, it has said enough of the VNs that we know (H25).
 * @param learn what is granted; it may refuse
 */
export function refusalIn(
  verdicts: ReadonlyMap<VnId, Verdict>,
  infos: ReadonlyMap<VnId, VnInfo>,
  learn: (info: VnInfo) => Refusal | undefined,
): Refusal | undefined {
  for (const [vn, verdict] of verdicts) {
    if (verdict.is === "denied") {
      const { code, hard, reason } = verdict;
      return { code, hard, reason };
    }
    if (verdict.is === "granted") {
      const refusal = learn(verdict.info);
      if (refusal !== undefined) return refusal;
    } else if (!infos.has(vn)) {
      const reason = `VN ${vn} is not known here and the NVA cannot be asked: ${verdict.reason}`;
      return { code: VdpError.managerUnreachable, hard: false, reason };
    }
  }
  return undefined;
}
