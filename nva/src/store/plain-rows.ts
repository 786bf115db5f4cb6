import { HypervisorId, IpPrefix, Mac, NveId, OutOfRange, Uuid, VnId } from "@nve/protocol-spec";
import type { Claim, HistoryRow } from "../authority/records.ts";

// Claims and histories are nearly all that a store holds, by the million: looked at by hand they take a fifth of the time that a
// schema takes. Both give the same, or nothing: what is unusual in any way is the schema's (rows.ts), which says what is wrong.

type Fields = Record<string, unknown>;

/** @returns undefined: the schema may know */
export const plainClaim = (found: unknown): Claim | undefined => plain(found, claimOf);

/** @returns undefined: the schema may know */
export const plainHistory = (found: unknown): HistoryRow | undefined => plain(found, historyOf);

const required = ["vnId", "mac", "ips", "sequence", "sticky", "anycast", "suspended"];
const historyKeys = new Set(["vnId", "mac", "sequence"]);
const claimKeys = new Set([...required, "source", "nveId", "vnic", "hypervisor", "port"]);

function claimOf(row: Fields): Claim | undefined {
  for (const key in row) if (!claimKeys.has(key)) return undefined;
  const { vnId, mac, ips, sequence, sticky, anycast, suspended } = row;
  const { source, nveId, vnic, hypervisor, port } = row;
  if (typeof vnId !== "number" || typeof mac !== "string" || !isCount(sequence)) return undefined;
  if (typeof sticky !== "boolean" || typeof anycast !== "boolean") return undefined;
  if (typeof suspended !== "boolean" || typeof nveId !== "string" || !isSource(source))
    return undefined;
  if (!isText(vnic) || !isText(hypervisor) || !isText(port)) return undefined;
  if (!isTexts(ips)) return undefined;
  // Property by property: spreading costs more than all the checks.
  const claim: Claim = {
    vnId: VnId(vnId),
    mac: Mac(mac),
    ips: ips.map(prefixOf),
    sequence,
    sticky,
    anycast,
    suspended,
    nveId: NveId(nveId),
    source,
  };
  if (vnic !== undefined) claim.vnic = Uuid(vnic);
  if (hypervisor !== undefined) claim.hypervisor = HypervisorId(hypervisor);
  if (port !== undefined) claim.port = port;
  return claim;
}

const prefixOf = (text: string): IpPrefix => IpPrefix(text);

function historyOf(row: Fields): HistoryRow | undefined {
  for (const key in row) if (!historyKeys.has(key)) return undefined;
  const { vnId, mac, sequence } = row;
  if (!isCount(sequence)) return undefined;
  if (typeof vnId !== "number" || typeof mac !== "string") return undefined;
  return { vnId: VnId(vnId), mac: Mac(mac), sequence };
}

function plain<T>(found: unknown, read: (row: Fields) => T | undefined): T | undefined {
  if (typeof found !== "object" || found === null || Array.isArray(found)) return undefined;
  try {
    return read(found as Fields);
  } catch (error) {
    if (error instanceof OutOfRange) return undefined;
    throw error;
  }
}

const isCount = (value: unknown): value is number =>
  Number.isSafeInteger(value) && Number(value) >= 0;
const isText = (value: unknown): value is string | undefined =>
  value === undefined || typeof value === "string";
const isTexts = (value: unknown): value is string[] =>
  Array.isArray(value) && value.every((one) => typeof one === "string");
const isSource = (value: unknown): value is Claim["source"] =>
  typeof value === "string" && (value === "static" || value.startsWith("nve:"));
