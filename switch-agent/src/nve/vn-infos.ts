import type { VnId, Vni } from "@nve/protocol-spec";
import type { VnInfo } from "./vsi.ts";

/** What the NVA told of each VN, to be found by its VNI too. */
export class VnInfos extends Map<VnId, VnInfo> {
  readonly #vns = new Map<Vni, VnId>();

  vnOf(vni: Vni): VnId | undefined {
    return this.#vns.get(vni);
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
