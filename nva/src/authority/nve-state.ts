import type { Instant, Mac, NveId, Uuid, VnId } from "@nve/protocol-spec";
import type { Location, NveRow } from "./records.ts";

/** One NVE: its session, and where its claims and memberships are. */
export type NveState = {
  row: NveRow;
  /** Counts its sessions; 0: none since this authority started. */
  generation: number;
  /** When it came to be connected or lost. */
  since: Instant;
  /** When what it has not named again is dropped: after a loss, until the first complete report. */
  deadline?: Instant;
  /** VNs in which it has members, each with the session that last said so. */
  members: Map<VnId, number>;
  macs: Map<VnId, Set<Mac>>;
  /** How many MACs it claims for each VNIC of a VN; made when it is first asked for (attach.ts). */
  vnics: Map<VnId, Map<Uuid, number>>;
  claims: number;
  /** IP addresses and prefixes of its claims. */
  ips: number;
};

export function newNve(row: NveRow, now: Instant): NveState {
  const tables = { members: new Map(), macs: new Map(), vnics: new Map() };
  return { row, generation: 0, since: now, ...tables, claims: 0, ips: 0 };
}

export function indexClaim(nve: NveState, vnId: VnId, mac: Mac): void {
  const macs = nve.macs.get(vnId) ?? new Set();
  if (macs.size === 0) nve.macs.set(vnId, macs);
  if (macs.has(mac)) return;
  macs.add(mac);
  nve.claims += 1;
}

export function unindexClaim(nve: NveState, vnId: VnId, mac: Mac): void {
  const macs = nve.macs.get(vnId);
  if (!macs?.delete(mac)) return;
  nve.claims -= 1;
  if (macs.size === 0) nve.macs.delete(vnId);
}

export function forgetVn(nve: NveState, vnId: VnId): void {
  nve.claims -= nve.macs.get(vnId)?.size ?? 0;
  nve.macs.delete(vnId);
  nve.vnics.delete(vnId);
  nve.members.delete(vnId);
}

/** Who has members of a VN or claims in it. */
export const usesVn = (nve: NveState, vnId: VnId): boolean =>
  nve.members.has(vnId) || nve.macs.has(vnId);

export const everyClaim = function* (nve: NveState): Generator<[VnId, Mac]> {
  for (const [vnId, macs] of nve.macs) for (const mac of [...macs]) yield [vnId, mac];
};

/** A session, as told to the server: what comes of an older one is ignored. */
export type Session = { nveId: NveId; generation: number };

export const sameLocation = (a: Location, b: Location): boolean =>
  a.vteps.join() === b.vteps.join() && a.encapsulations.join() === b.encapsulations.join();
