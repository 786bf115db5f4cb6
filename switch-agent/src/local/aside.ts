import type { NveCore } from "@nve/switch-agent/nve";
import { DataplaneError } from "../dataplane/error.ts";
import type { Nva } from "../nva-client/client.ts";
import type { Pulling } from "../pulling.ts";

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

export const reasonOf = (error: unknown): string =>
  error instanceof Error ? error.message : String(error);

/** Of what went on with the NVA beside the sessions. */
export function countersOf(pulling: Pulling, { digests }: Nva): Record<string, number> {
  const compared = Object.entries(digests ?? {}).map(([what, n]) => [`digest.${what}`, n]);
  return { ...pulling.counters, ...Object.fromEntries(compared) };
}
