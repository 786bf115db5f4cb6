import { VdpError, type VnId, type Vni } from "@nve/protocol-spec";
import type { Refusal, Verdict, VnInfo } from "./vsi.ts";

/** What the NVA told of each VN, to be found by its VNI too. */
export class VnInfos extends Map<VnId, VnInfo> {
  readonly #vns = new Map<Vni, VnId>();

  vnOf(vni: Vni): VnId | undefined {
    return this.#vns.get(vni);
  }

  /** Two VNs with one VNI would be one (P11): the second is refused, and the first stays as it is. */
  learn(info: VnInfo): Refusal | undefined {
    const other = this.vnOf(info.vni);
    if (other !== undefined && other !== info.vn) {
      const reason = `VN ${info.vn} cannot be told from VN ${other} on the underlay`;
      return { code: VdpError.other, hard: false, reason, detail: `both have VNI ${info.vni}` };
    }
    this.set(info.vn, info);
    return undefined;
  }

  override set(vn: VnId, info: VnInfo): this {
    this.delete(vn);
    this.#vns.set(info.vni, vn);
    return super.set(vn, info);
  }

  override delete(vn: VnId): boolean {
    const info = this.get(vn);
    if (info !== undefined) this.#vns.delete(info.vni);
    return super.delete(vn);
  }
}

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
