import { type Mac, OutOfRange, VnId } from "@nve/protocol-spec";
import type { SelectionChange } from "@nve/protocol-spec/proto/nve";
import type { Touch } from "../authority/records.ts";
import { fromMac } from "./convert.ts";

/** MACs of one VN that one NVE has selected at most. */
const selectionLimit = 65_536;
const tooMany = `more than ${selectionLimit} MACs selected of one VN`;

/** The MACs of a VN that an NVE in pull wants to hear of (A18). */
export class Selected {
  readonly macs: Set<Mac>;

  /** @throws OutOfRange when they are too many */
  constructor(macs: readonly Mac[]) {
    if (macs.length > selectionLimit) throw new OutOfRange(tooMany);
    this.macs = new Set(macs);
  }

  /** @returns what is wrong, and nothing is changed then */
  change(add: readonly Mac[], remove: readonly Mac[]): string | undefined {
    if (this.macs.size + add.length - remove.length > selectionLimit) return tooMany;
    for (const mac of remove) this.macs.delete(mac);
    for (const mac of add) this.macs.add(mac);
    return undefined;
  }

  /** As much of a change as is selected. */
  of({ macs, ...touch }: Touch): Touch {
    return { ...touch, macs: new Set([...macs].filter((mac) => this.macs.has(mac))) };
  }
}

/** @throws OutOfRange for what cannot be */
export const fromSelection = ({ vnId, add, remove }: SelectionChange) => ({
  vnId: VnId(vnId),
  add: add.map((mac) => fromMac(mac)),
  remove: remove.map((mac) => fromMac(mac)),
});
