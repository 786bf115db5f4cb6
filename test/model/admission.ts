// Who may attach to a VN, from docs/admission.md: written from there, not from the NVA.

/** The VN that takes all, registered, or strictly registered VNICs, as it is put. */
export const modalVn = 2;
export const modes = ["open", "registered", "strict"] as const;

/** What a VNIC is registered with: no MAC, its MAC without IPs, its MAC with any IPs. */
export const registrations = ["no MAC", "no IP", "no IP", "any IP", "any IP"] as const;
export type Registration = (typeof registrations)[number];

/** @param claim a claim's text (`claimText`) */
export function isAllowed(
  mode: string | undefined,
  registration: string | undefined,
  claim: string,
): boolean {
  if (mode !== "registered" && mode !== "strict") return true; // as it is created, too
  if (registration === undefined) return false;
  if (mode === "registered" || registration === "any IP") return true;
  return registration === "no IP" && claim.startsWith(" "); // its IPs come first
}

/** Over all that the modes and registrations may have been: could it be let in, and could it not be refused? */
export function verdict(
  modes: ReadonlySet<string | undefined>,
  registrations: ReadonlySet<string | undefined>,
  claims: Iterable<string>,
): { may: boolean; must: boolean } {
  const all = [...modes].flatMap((mode) =>
    [...registrations].flatMap((one) => [...claims].map((claim) => isAllowed(mode, one, claim))),
  );
  return { may: all.some((is) => is), must: all.every((is) => is) };
}
