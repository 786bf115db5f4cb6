import type { VsiAddress } from "@nve/protocol-spec";
import type { Ask, Entry, Granted } from "./vsi.ts";

/**
 * Has the NVA let in already what becomes active with this request: reserved before with the same addresses, by the same station at
 * the same port (V1), or active with another S bit? Then the switch-over does not wait for a second answer. Whoever may not join
 * any more does not get in so: the NVA judges each claim that it is told. A VSI that does not say its MACs claims none.
 */
export function isAdmitted(
  ask: Ask,
  entries: readonly Entry[],
  granted: Granted | undefined,
): boolean {
  if (granted === undefined || ask.mode !== "associate") return false;
  const { ask: was } = granted;
  return (
    sameAsker(ask, was) &&
    entries.every(({ mac }) => mac !== undefined) &&
    sameTexts(entries.map(pairOf), granted.entries.map(pairOf)) &&
    sameTexts(ask.addresses?.map(textOf), was.addresses?.map(textOf))
  );
}

const sameAsker = (a: Ask, b: Ask): boolean =>
  a.port === b.port &&
  a.vnic === b.vnic &&
  a.hypervisor === b.hypervisor &&
  a.station === b.station &&
  a.authenticated === b.authenticated;

const pairOf = ({ vn, mac }: Entry): string => `${vn} ${mac}`;
const textOf = ({ vn, mac, ip }: VsiAddress): string => `${vn} ${mac} ${ip}`;

/** In the same order: a station that says the same again says it so. */
const sameTexts = (a?: readonly string[], b?: readonly string[]): boolean =>
  a?.length === b?.length && (a ?? []).every((text, i) => text === b?.[i]);
