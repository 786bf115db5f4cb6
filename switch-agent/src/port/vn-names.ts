import {
  type Filters,
  type Uuid,
  VdpError,
  type VnId,
  type VnNaming,
  vnIdOfGroup,
} from "@nve/protocol-spec";
import { type Refusal, type StationAsk, type Verdict, withLent } from "@nve/switch-agent/nve";

/** Of one VSI: what stands behind the placeholders in its filters. */
export type Names = ReadonlyMap<number, VnNaming>;

/**
 * A request in VN IDs, which are all that the NVE core knows VNs by (H4).
 *
 * @param verdictOf asks the NVA who a name is, and whether the VNIC may join
 */
export async function withVnIds(
  ask: StationAsk,
  names: Names,
  verdictOf: (name: Uuid) => Promise<Verdict>,
): Promise<StationAsk | Refusal> {
  const ids = new Map<number, VnId>();
  const verdicts = await Promise.all(
    used(ask.filters, names).map(async (naming) => ({
      ...naming,
      ...(await verdictOf(naming.name)),
    })),
  );
  for (const { placeholder, name, ...verdict } of verdicts) {
    if (verdict.is === "denied") return verdict;
    if (verdict.is === "unreachable") {
      const reason = `VN ${name} is not known here and the NVA cannot be asked: ${verdict.reason}`;
      return { code: VdpError.managerUnreachable, hard: false, reason };
    }
    ids.set(placeholder, verdict.info.vn);
  }
  return { ...ask, filters: inPlace(ask.filters, (groupId) => ids.get(groupId) ?? groupId) };
}

/** What the station is answered: its own entries with the VIDs of those in force, and the VN IDs of its names. */
export function inItsWords(
  asked: Filters,
  inForce: Filters,
  names: Names,
): { filters: Filters; names: readonly VnNaming[] } {
  const vids = inForce.entries.map(({ vid }) => vid);
  const told = used(asked, names).flatMap((naming) => {
    const at = asked.entries.findIndex((entry) => groupOf(entry) === naming.placeholder);
    const entry = inForce.entries[at];
    const vn = entry === undefined ? undefined : groupOf(entry);
    return vn === undefined ? [] : [{ ...naming, vn: vn as VnId }];
  });
  return { filters: withLent(asked, vids), names: told };
}

/** The VNs that filters name by GroupID. */
export const vnsIn = (filters: Filters): VnId[] => [
  ...new Set(filters.entries.flatMap((entry) => vnIdOfGroup(groupOf(entry) ?? 0) ?? [])),
];

/** The names whose placeholders are in the filters. */
function used(filters: Filters, names: Names): VnNaming[] {
  const groups = new Set(filters.entries.map(groupOf));
  return [...names.values()].filter(({ placeholder }) => groups.has(placeholder));
}

const groupOf = (entry: Filters["entries"][number]): number | undefined =>
  "groupId" in entry ? (entry.groupId as number) : undefined;

function inPlace(filters: Filters, of: (groupId: number) => number): Filters {
  switch (filters.by) {
    case "group-vid":
      return {
        by: filters.by,
        entries: filters.entries.map((e) => ({ ...e, groupId: of(e.groupId) })),
      };
    case "group-mac-vid":
      return {
        by: filters.by,
        entries: filters.entries.map((e) => ({ ...e, groupId: of(e.groupId) })),
      };
    default:
      return filters;
  }
}
