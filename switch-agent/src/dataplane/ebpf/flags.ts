import type { AccessRules, MacIntent, Suspended, VnIntent } from "../../nve/intents.ts";
import type { Qos } from "../../nve/profile.ts";
import { accessFlag, placeFlag, vnFlag } from "./maps.ts";

/** Of a VN, what its intent says. */
export function vnFlags(rules: Omit<VnIntent, "is" | "vni" | "flood">): number {
  const { floodUnknown, askUnknown, answer, floodLimit, qos, suspended } = rules;
  const asks = askUnknown ? vnFlag.askUnknown : 0;
  const unknown = asks | (floodUnknown ? vnFlag.floodUnknown : 0);
  const answers = answer ? vnFlag.answer : 0;
  const limited = floodLimit ? vnFlag.floodLimit : 0;
  return (unknown | answers | limited | suspendedFlag(suspended) | qosFlags(qos)) >>> 0;
}

const suspendedFlag = (suspended: Suspended | undefined): number =>
  suspended === undefined ? 0 : suspended === "drop" ? vnFlag.dropSuspended : vnFlag.tellSuspended;

/** The DSCP in the last bits. */
const qosFlags = ({ policeKbps, dscp }: Qos = {}): number =>
  ((policeKbps === undefined ? 0 : vnFlag.police) |
    (dscp === undefined ? 0 : vnFlag.mark | (dscp << 24))) >>>
  0;

/** Of an access. */
export const accessFlags = ({ checkSource, checkIps, floodLimit, glean }: AccessRules): number =>
  (checkSource ? accessFlag.checkSource : 0) |
  (checkIps ? accessFlag.checkIps : 0) |
  (floodLimit ? accessFlag.floodLimit : 0) |
  (glean ? accessFlag.glean : 0);

/** Of a MAC. */
export const macMark = (
  at: MacIntent["at"],
  { moved, suspended }: Pick<MacIntent, "moved" | "suspended">,
): number => {
  if (at.is === "remote") return moved ? placeFlag.inFlight : 0;
  return suspended ? placeFlag.suspended : 0;
};
