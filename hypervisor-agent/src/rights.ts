import { type Capability, missingRights } from "@nve/linux";
import { Refused } from "@nve/program/errors";

/** @throws Refused that names all rights that are missing, before anything is touched */
export function checkRights(has?: (capability: Capability) => boolean): void {
  const missing = missingRights(has);
  if (missing !== undefined) throw new Refused(missing);
}
