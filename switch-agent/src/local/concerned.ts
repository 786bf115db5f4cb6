import type { NveCore } from "@nve/switch-agent/nve";
import { DataplaneError } from "../dataplane/error.ts";

/** Of those who asked together only they fail whose VNs or MACs the dataplane did not take. */
export function isConcerned(core: NveCore, vsi: string, error: unknown): boolean {
  if (!(error instanceof DataplaneError)) return true;
  const entries = core.vsis.get(vsi)?.granted?.entries ?? [];
  return error.failed.some(({ intent }) =>
    entries.some(
      ({ vn, mac }) =>
        core.infos.get(vn)?.vni === intent.vni &&
        (intent.is !== "mac" || mac === undefined || mac === intent.mac),
    ),
  );
}
