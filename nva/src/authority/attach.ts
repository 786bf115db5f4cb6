import type { Instant, IpPrefix, Mac, NveId, Uuid, VnId } from "@nve/protocol-spec";
import type { Duplicates } from "./duplicates.ts";
import { indexClaim, type NveState, unindexClaim } from "./nve-state.ts";
import {
  type Claim,
  called,
  claimKey,
  type Disconnect,
  type Effects,
  historyKey,
  memberKey,
  nveSource,
  type Reported,
} from "./records.ts";
import type { Piece } from "./slices.ts";
import type { VnState } from "./vn-state.ts";

/** What an NVE claims in a VN. */
export function* claimsAt(nve: NveState, vn: VnState): Generator<Claim> {
  const source = nveSource(nve.row.location.nveId);
  for (const mac of nve.macs.get(vn.vn.vnId) ?? []) {
    const held = vn.heldBy(mac, source);
    if (held !== undefined) yield held.claim;
  }
}

/** How many MACs an NVE claims for each VNIC of a VN. */
export function vnicsOf(nve: NveState, vn: VnState): Map<Uuid, number> {
  const { vnId } = vn.vn;
  const known = nve.vnics.get(vnId);
  if (known !== undefined) return known;
  const counted = new Map<Uuid, number>();
  for (const { vnic } of claimsAt(nve, vn))
    if (vnic !== undefined) counted.set(vnic, (counted.get(vnic) ?? 0) + 1);
  nve.vnics.set(vnId, counted);
  return counted;
}

/** Takes a claim of an NVE that has been checked, and sees what it moves. */
export function putClaim(
  nve: NveState,
  vn: VnState,
  reported: Reported,
  duplicates: Duplicates,
  now: Instant,
  effects: Effects,
): void {
  const { nveId } = nve.row.location;
  const { mac } = reported;
  const claim: Claim = { ...reported, source: nveSource(nveId), nveId };
  const own = vn.heldBy(mac, claim.source)?.claim;
  const before = vn.best(mac);
  const rivals = rivalsOf(vn, claim, own);
  count(nve, vn, own, claim, `nve:${nveId}`, effects);
  nve.ips += claim.ips.length - (own?.ips.length ?? 0);
  vn.put(claim, nve.generation, effects);
  indexClaim(nve, claim.vnId, mac);
  const after = vn.best(mac);
  if (before !== undefined && after !== undefined && before.source !== after.source)
    duplicates.macMoved(vn, before, after, now, effects);
  for (const [ip, rival] of rivals)
    if (vn.bestByIp(ip)?.mac === mac) duplicates.ipMoved(vn, ip, rival, claim, now, effects);
}

/** Takes back what an NVE claims of an address. @param actor who wants it so */
export function withdrawClaim(
  nve: NveState,
  vn: VnState,
  mac: Mac,
  actor: string,
  now: Instant,
  effects: Effects,
): void {
  const source = nveSource(nve.row.location.nveId);
  const own = vn.heldBy(mac, source)?.claim;
  if (own === undefined) return;
  count(nve, vn, own, undefined, actor, effects);
  nve.ips -= own.ips.length;
  vn.withdraw(mac, source, now, effects);
  unindexClaim(nve, vn.vn.vnId, mac);
}

/** Who is to go from a VN at an NVE, and why. `seen`: MACs of the VNICs, or some of them. */
type Leaving = { vnics: Map<Uuid, string>; macs: Set<Mac>; seen: Set<Mac> };

/** Of each VN at each NVE together, so that what is there is looked through once. */
export function together(
  all: readonly Disconnect[],
): Iterable<Leaving & { nveId: NveId; vnId: VnId }> {
  const found = new Map<string, Leaving & { nveId: NveId; vnId: VnId }>();
  for (const { nveId, vnId, vnics, macs = [], seen = [], reason } of all) {
    const key = `${vnId} ${nveId}`;
    const one = found.get(key) ?? {
      ...{ nveId, vnId, vnics: new Map(), macs: new Set(), seen: new Set() },
    };
    found.set(key, one);
    for (const vnic of vnics) one.vnics.set(vnic, reason);
    for (const mac of macs) one.macs.add(mac);
    for (const mac of seen) one.seen.add(mac);
  }
  return found.values();
}

/** Drops what an NVE claims for those who may be attached no more. */
export function letGo(
  nve: NveState,
  vn: VnState,
  leaving: Leaving,
  now: Instant,
  effects: Effects,
): void {
  const { vnics, macs } = leaving;
  for (const claim of claimsOfThem(nve, vn, leaving)) {
    const { mac, vnic } = claim;
    const reason = vnic === undefined ? undefined : vnics.get(vnic);
    if (reason === undefined && !macs.has(mac)) continue;
    if (vnic !== undefined && reason !== undefined && vnicsOf(nve, vn).get(vnic) === 1)
      effects.note(attachment("vnic.disconnect", vnic, vn, claim, "nva", reason));
    withdrawClaim(nve, vn, mac, "nva", now, effects);
  }
}

/** All their claims, and perhaps others: what was seen, unless there is more. */
function claimsOfThem(nve: NveState, vn: VnState, { vnics, macs, seen }: Leaving): Claim[] {
  const source = nveSource(nve.row.location.nveId);
  const found = [...new Set([...macs, ...seen])].flatMap(
    (mac) => vn.heldBy(mac, source)?.claim ?? [],
  );
  const all = vnicsOf(nve, vn);
  const counted = new Map<Uuid, number>();
  for (const { vnic } of found)
    if (vnic !== undefined) counted.set(vnic, (counted.get(vnic) ?? 0) + 1);
  const isAll = [...vnics.keys()].every(
    (vnic) => (counted.get(vnic) ?? 0) === (all.get(vnic) ?? 0),
  );
  return isAll ? found : [...claimsAt(nve, vn)];
}

/** The rows of a VN that is gone, and that its VNICs have gone with it. */
export function* remainsOf(vn: VnState, users: readonly NveState[]): Generator<Piece> {
  const { vnId } = vn.vn;
  for (const nveId of vn.members)
    yield (_, effects) => effects.changes.push({ table: "member", key: memberKey(vnId, nveId) });
  const nves = new Map(users.map((nve) => [nveSource(nve.row.location.nveId), nve]));
  const seen = new Set<string>();
  for (const mac of vn.macs())
    yield (_, effects) => {
      for (const { claim } of vn.claimsFor(mac)) {
        const { vnic, source } = claim;
        effects.changes.push({ table: "claim", key: claimKey(vnId, mac, source) });
        const nve = nves.get(source);
        if (nve !== undefined) nve.ips -= claim.ips.length;
        if (vnic === undefined || source === "static" || seen.has(`${source} ${vnic}`)) continue;
        seen.add(`${source} ${vnic}`);
        effects.note(attachment("vnic.disconnect", vnic, vn, claim, "nva", "the VN was deleted"));
      }
      effects.changes.push({ table: "history", key: historyKey(vnId, mac) });
    };
  for (const mac of vn.gone())
    yield (_, effects) => effects.changes.push({ table: "history", key: historyKey(vnId, mac) });
}

/** Who else has the IPs that are new with this claim. */
function rivalsOf(vn: VnState, claim: Claim, own: Claim | undefined): [IpPrefix, Claim][] {
  return claim.ips.flatMap((ip) => {
    const rival = own?.ips.includes(ip) ? undefined : vn.bestByIp(ip);
    return rival === undefined || rival.mac === claim.mac ? [] : [[ip, rival]];
  });
}

/** The first MAC of a VNIC is its attachment, the last one its end. */
function count(
  nve: NveState,
  vn: VnState,
  before: Claim | undefined,
  after: Claim | undefined,
  actor: string,
  effects: Effects,
): void {
  if (before?.vnic === after?.vnic) return;
  const vnics = vnicsOf(nve, vn);
  if (after?.vnic !== undefined) {
    const macs = vnics.get(after.vnic) ?? 0;
    vnics.set(after.vnic, macs + 1);
    if (macs === 0) effects.note(attachment("vnic.attach", after.vnic, vn, after, actor));
  }
  if (before?.vnic === undefined) return;
  const macs = vnics.get(before.vnic) ?? 0;
  if (macs > 1) {
    vnics.set(before.vnic, macs - 1);
    return;
  }
  vnics.delete(before.vnic);
  effects.note(attachment("vnic.detach", before.vnic, vn, before, actor));
}

/** An event of a VNIC. */
const attachment = (
  action: string,
  vnic: Uuid,
  { vn }: VnState,
  { mac, hypervisor, port, nveId }: Claim,
  actor: string,
  reason?: string,
) => ({
  actor,
  action,
  object: vnic,
  detail: {
    vn: called(vn),
    vnId: vn.vnId,
    nve: nveId,
    mac,
    ...(hypervisor !== undefined && { hypervisor }),
    ...(port !== undefined && { port }),
    ...(reason !== undefined && { reason }),
  },
});
