import { checked } from "@nve/program/config";
import { OutOfRange, Uuid, VnId } from "@nve/protocol-spec";
import type { Unknown, VnInfo } from "@nve/switch-agent/nve";
import { z } from "zod";

// How the NVE learns where the others of a VN are: told of all (push, A17), or asking for whom it needs (pull, A18).

/** VN ID, range of VN IDs, or VN Name. */
type Which = { first: VnId; last: VnId } | { name: Uuid };

const learning = z.enum(["push", "pull"]);
const unknown = z.enum(["flood", "drop"]);

/** `learning`, `unknown`, and `vns` with what differs: the first entry that a VN is in counts. */
export const learningConfig = {
  learning: learning.default("push"),
  /** In pull, frames for MACs that the NVA has not been asked for yet. */
  unknown: unknown.default("flood"),
  vns: z
    .array(
      z.strictObject({
        vn: z.union([z.number(), z.string()]).transform(checked(which)),
        learning: learning.optional(),
        unknown: unknown.optional(),
      }),
    )
    .max(4096, "4096 entries at most: use ranges")
    .default([]),
};

export type LearningConfig = {
  learning: z.output<typeof learning>;
  unknown: Unknown;
  vns: readonly {
    vn: Which;
    learning?: z.output<typeof learning> | undefined;
    unknown?: Unknown | undefined;
  }[];
};

/** What becomes of unknown unicast in a VN in pull; undefined: it is in push. */
export function pullRule(config: LearningConfig): (info: VnInfo) => Unknown | undefined {
  return (info) => {
    const own = config.vns.find(({ vn }) => isOf(vn, info));
    if ((own?.learning ?? config.learning) === "push") return undefined;
    return own?.unknown ?? config.unknown;
  };
}

const isOf = (which: Which, { vn, name }: VnInfo): boolean =>
  "name" in which ? which.name === name : which.first <= vn && vn <= which.last;

function which(text: string | number): Which {
  const [, first, last = first] = /^(\d+)(?:-(\d+))?$/.exec(`${text}`) ?? [];
  if (first !== undefined) {
    const range = { first: VnId(Number(first)), last: VnId(Number(last)) };
    if (range.first <= range.last) return range;
    throw new OutOfRange(`${text}: the first VN ID is greater than the last`);
  }
  try {
    return { name: Uuid(`${text}`) };
  } catch (error) {
    if (!(error instanceof OutOfRange)) throw error;
    throw new OutOfRange(
      `"${text}" is no VN ID (10001), range of them (10001-10099) or VN Name (a UUID)`,
    );
  }
}
