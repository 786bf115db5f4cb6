import {
  type Instant,
  type IpPrefix,
  isIpv6,
  type Mac,
  networkOf,
  prefixParts,
  type Uuid,
  type VnId,
} from "@nve/protocol-spec";
import { claimsAt, vnicsOf } from "./attach.ts";
import type { Authority } from "./authority.ts";
import type { Applicant, ExpectedMac, ExpectedVnic, Policy, Profile } from "./declared.ts";
import type { NveState } from "./nve-state.ts";
import { isAmong } from "./patterns.ts";
import {
  called,
  type Disconnect,
  type Effects,
  nveSource,
  type Reported,
  type Vn,
} from "./records.ts";
import { inSlices, type Piece, piecesOf } from "./slices.ts";
import type { VnState } from "./vn-state.ts";

/** What admission asks of all that is rules. */
export type Rules = {
  /** In the order in which they are asked. */
  readonly policies: readonly Policy[];
  vnic(vnic: Uuid): ExpectedVnic | undefined;
  profileOf(vn: Vn): Profile | undefined;
};

/** Why not, in words for whoever can change it. */
export type Denied = { denied: "not-allowed" | "limit" | "address"; reason: string };

/** What the applicant's NVE has in the VN already: other VNICs, and other MACs of the same VNIC. */
export type Present = { vnics: number; macs: number };

/**
 * May this VNIC attach with these addresses (H26, A19)? Policies in their order, the first that matches counts;
 * where none does, the VN's admission; then the limits of its profile (V10).
 * @returns undefined: it may
 */
export function judge(
  applicant: Applicant,
  vn: Vn,
  rules: Rules,
  present: Present,
): Denied | undefined {
  const policy = rules.policies.find((one) => matches(one, applicant, vn));
  if (policy?.deny)
    return no(`policy "${policy.name}" keeps ${nameOf(applicant)} out of VN ${called(vn)}`);
  const unknown = policy === undefined ? unregistered(applicant, vn, rules) : undefined;
  return unknown ?? beyond(applicant, vn, rules, present);
}

/** Every list must match, an empty one always does; what the applicant does not say matches "*" only. */
export function matches(policy: Policy, applicant: Applicant, vn: Vn): boolean {
  if (policy.authenticated && !applicant.authenticated) return false;
  return (
    isAmong(policy.vns, called(vn)) &&
    isAmong(policy.hypervisors, applicant.hypervisor) &&
    isAmong(policy.nves, applicant.nveId) &&
    isAmong(policy.ports, applicant.port) &&
    isAmong(lowerCase(policy.vnics), applicant.vnic) &&
    isAmong(lowerCase(policy.stations), applicant.station)
  );
}

/** UUIDs and MAC addresses are written in any case. */
function lowerCase(patterns: readonly string[]): readonly string[] {
  const known = lowered.get(patterns);
  if (known !== undefined) return known;
  const lower = patterns.map((pattern) => pattern.toLowerCase());
  lowered.set(patterns, lower);
  return lower;
}

const lowered = new WeakMap<readonly string[], readonly string[]>();

function unregistered(applicant: Applicant, vn: Vn, rules: Rules): Denied | undefined {
  const mode = vn.admission ?? "open";
  if (mode === "open") return undefined;
  const { vnic, hypervisor } = applicant;
  if (vnic === undefined) return no(`VN ${called(vn)} takes registered VNICs only, by their UUIDs`);
  const expected = rules.vnic(vnic);
  if (expected === undefined)
    return no(`VN ${called(vn)} takes registered VNICs only, and VNIC ${vnic} is not registered`);
  const membership = expected.vns.find(({ vnId }) => vnId === vn.vnId);
  if (membership === undefined)
    return no(`VNIC ${vnic} is registered, but not for VN ${called(vn)}`);
  if (!isAmong(expected.hypervisors, hypervisor))
    return no(
      `VNIC ${vnic} is registered for hypervisors ${expected.hypervisors.join(", ")}, not for ${hypervisor === undefined ? "one without a name" : `"${hypervisor}"`}`,
    );
  return mode === "strict" ? foreign(applicant, vn, membership.macs) : undefined;
}

/** Strict: what was not registered for it is not its own. */
function foreign(
  { vnic, addresses }: Applicant,
  vn: Vn,
  expected: readonly ExpectedMac[],
): Denied | undefined {
  for (const { mac, ips } of addresses) {
    const own = expected.find((one) => one.mac === mac);
    if (own === undefined)
      return address(`${mac} is not registered for VNIC ${vnic} in VN ${called(vn)}`);
    const odd = ips.find((ip) => !own.ips.some((one) => covers(one, ip)));
    if (odd !== undefined)
      return address(`${odd} is not registered for ${mac} of VNIC ${vnic} in VN ${called(vn)}`);
  }
  return undefined;
}

/** A registered prefix covers the addresses and prefixes in it. */
function covers(outer: IpPrefix, inner: IpPrefix): boolean {
  if (outer === inner) return true;
  if (isIpv6(outer) !== isIpv6(inner)) return false;
  const [wide, narrow] = [prefixParts(outer), prefixParts(inner)];
  return wide.length <= narrow.length && networkOf(narrow.ip, wide.length) === wide.ip;
}

function beyond(
  { nveId, vnic, addresses }: Applicant,
  vn: Vn,
  rules: Rules,
  present: Present,
): Denied | undefined {
  const profile = rules.profileOf(vn);
  const { vnicsPerNve, macsPerVnic, ipsPerMac } = profile?.limits ?? {};
  const of = `profile "${profile?.name}" of VN ${called(vn)}`;
  if (vnicsPerNve !== undefined && vnic !== undefined && present.vnics >= vnicsPerNve)
    return limit(`${of} allows ${vnicsPerNve} VNICs at one NVE, and ${nveId} has as many`);
  if (macsPerVnic !== undefined && present.macs + addresses.length > macsPerVnic)
    return limit(`${of} allows ${macsPerVnic} MAC addresses of one VNIC`);
  const many = addresses.find(({ ips }) => ipsPerMac !== undefined && ips.length > ipsPerMac);
  if (many !== undefined)
    return limit(
      `${of} allows ${ipsPerMac} IP addresses of one MAC address, not ${many.ips.length}`,
    );
  return undefined;
}

/** As `judge`, for what is claimed or about to be: an NVE that has not asked first does not get in either. */
export class Gate {
  readonly #rules: Rules;
  /** Who has been let through so far, in place of those who are there. */
  readonly #afresh: Map<string, Map<Uuid, number>> | undefined;
  /** The rules that are about a VN; undefined: they keep nobody out of it, as of most. */
  readonly #about = new Map<VnState, Rules | undefined>();

  /** @param afresh nobody counts as present yet: all there is is judged anew, one after the other */
  constructor(rules: Rules, afresh = false) {
    this.#rules = rules;
    this.#afresh = afresh ? new Map() : undefined;
  }

  /** @param nve undefined: it has claimed nothing yet */
  judge(applicant: Applicant, nve: NveState | undefined, vn: VnState): Denied | undefined {
    const rules = this.#rulesOf(vn);
    return rules && judge(applicant, vn.vn, rules, this.#present(applicant, nve, vn));
  }

  /** Forgets the rules: they may have been changed meanwhile. Who has been let through counts on. */
  renew(): void {
    this.#about.clear();
  }

  claim(nve: NveState, claim: Reported, vn: VnState): Denied | undefined {
    const rules = this.#rulesOf(vn);
    if (rules === undefined) return undefined;
    const applicant = applicantOf(nve, claim);
    if (claim.gleaned && (vn.vn.admission ?? "open") === "open") {
      const policy = rules.policies.find((one) => matches(one, applicant, vn.vn));
      if (!policy?.deny) return undefined; // nobody said that it would have it: only a policy keeps it out
    }
    const denied = this.judge(applicant, nve, vn);
    if (denied !== undefined || claim.vnic === undefined || this.#afresh === undefined)
      return denied;
    const through = this.#known(this.#afresh, nve, vn);
    through.set(claim.vnic, (through.get(claim.vnic) ?? 0) + 1);
    return undefined;
  }

  #rulesOf(vn: VnState): Rules | undefined {
    if (this.#about.has(vn)) return this.#about.get(vn);
    const rules = rulesAbout(vn.vn, this.#rules);
    this.#about.set(vn, rules);
    return rules;
  }

  #present({ vnic, addresses }: Applicant, nve: NveState | undefined, vn: VnState): Present {
    const limits = this.#rules.profileOf(vn.vn)?.limits;
    const isCounted = limits?.vnicsPerNve !== undefined || limits?.macsPerVnic !== undefined;
    if (nve === undefined || !isCounted) return { vnics: 0, macs: 0 }; // or nobody asks
    const known =
      this.#afresh === undefined ? vnicsOf(nve, vn) : this.#known(this.#afresh, nve, vn);
    const own = vnic === undefined ? undefined : known.get(vnic);
    const source = nveSource(nve.row.location.nveId);
    const isOwn = (mac: Mac): boolean => vn.heldBy(mac, source)?.claim.vnic === vnic;
    const again = this.#afresh === undefined ? addresses.filter(({ mac }) => isOwn(mac)).length : 0;
    return { vnics: known.size - (own === undefined ? 0 : 1), macs: (own ?? 0) - again };
  }

  #known(
    afresh: Map<string, Map<Uuid, number>>,
    nve: NveState,
    { vn }: VnState,
  ): Map<Uuid, number> {
    const key = `${vn.vnId} ${nve.row.location.nveId}`;
    const known = afresh.get(key) ?? new Map<Uuid, number>();
    afresh.set(key, known);
    return known;
  }
}

/**
 * Lets go of who is attached to these VNs and is not allowed any more: after a change of policies, VNICs, VNs or profiles.
 * They are in a Step's `disconnect`, so the authority lets go of them (`expel`) in the commit of each slice.
 */
export function recheckInSlices(
  authority: Authority,
  vnIds: Iterable<VnId>,
  now: Instant,
  effects: Effects,
): void {
  const gate = new Gate(authority.catalogue, true);
  const turned = new Turned();
  inSlices(rechecked(authority, vnIds, gate, turned), now, effects, ({ disconnect }) => {
    disconnect.push(...turned.take());
    gate.renew();
  });
}

/** Who that is. */
export function recheck(authority: Authority, vnIds: Iterable<VnId>): Disconnect[] {
  const turned = new Turned();
  const gate = new Gate(authority.catalogue, true);
  for (const _ of rechecked(authority, vnIds, gate, turned));
  return turned.take();
}

/** Looks for them on the way to each piece. What comes meanwhile has been judged by the rules as they are. */
function* rechecked(
  authority: Authority,
  vnIds: Iterable<VnId>,
  gate: Gate,
  turned: Turned,
): Generator<Piece> {
  const asked = [...new Set(vnIds)].flatMap((vnId) => authority.vn(vnId) ?? []);
  const vns = asked.filter(({ vn }) => rulesAbout(vn, authority.catalogue) !== undefined);
  if (vns.length === 0) return;
  for (const nve of authority.nves()) {
    for (const vn of vns) {
      if (authority.vn(vn.vn.vnId) !== vn) continue; // deleted meanwhile
      yield* piecesOf(claimsAt(nve, vn), (claim) => {
        const denied = gate.claim(nve, claim, vn);
        if (denied === undefined) return undefined;
        turned.add(nve, claim, denied);
        return found;
      });
    }
  }
}

const found: Piece = () => {};

/** Who is turned away, together as far as the reason is the same. */
export class Turned {
  readonly #found = new Map<
    string,
    Omit<Disconnect, "vnics" | "macs" | "seen"> &
      Record<"macs" | "seen", Set<Mac>> & {
        vnics: Set<Uuid>;
      }
  >();

  add(nve: NveState, claim: Reported, denied: Denied): void {
    const { vnId, mac, vnic } = claim;
    const { nveId } = nve.row.location;
    const { reason } = denied;
    const key = `${nveId} ${vnId} ${reason}`;
    const one = this.#found.get(key) ?? {
      ...{ nveId, vnId, reason, vnics: new Set(), macs: new Set(), seen: new Set() },
    };
    this.#found.set(key, one);
    if (vnic === undefined || !isWhole(claim, denied)) {
      one.macs.add(mac);
      return;
    }
    one.vnics.add(vnic);
    one.seen.add(mac);
  }

  /** Those who were added since this was asked before. */
  take(): Disconnect[] {
    const all = [...this.#found.values()].map(({ vnics, macs, seen, ...rest }) => ({
      ...rest,
      vnics: [...vnics],
      macs: [...macs],
      seen: [...seen],
    }));
    this.#found.clear();
    return all;
  }
}

function rulesAbout(vn: Vn, rules: Rules): Rules | undefined {
  const policies = rules.policies.filter(({ vns }) => isAmong(vns, called(vn)));
  const isOpen = (vn.admission ?? "open") === "open";
  const denies = policies.some(({ deny }) => deny);
  if (isOpen && !denies && rules.profileOf(vn)?.limits === undefined) return undefined;
  return { policies, vnic: (vnic) => rules.vnic(vnic), profileOf: (of) => rules.profileOf(of) };
}

/** Whether the VNIC goes, or only an address, which nobody said that it has. */
const isWhole = (claim: Reported, { denied }: Denied): boolean =>
  claim.gleaned !== true || denied === "not-allowed";

/** Who stands behind a claim. */
export const applicantOf = (nve: NveState, claim: Reported): Applicant => ({
  nveId: nve.row.location.nveId,
  ...(claim.vnic !== undefined && { vnic: claim.vnic }),
  ...(claim.hypervisor !== undefined && { hypervisor: claim.hypervisor }),
  port: claim.port ?? "",
  ...(claim.station !== undefined && { station: claim.station }),
  authenticated: claim.authenticated ?? false,
  addresses: [{ mac: claim.mac, ips: claim.ips }],
});

const no = (reason: string): Denied => ({ denied: "not-allowed", reason });
const limit = (reason: string): Denied => ({ denied: "limit", reason });
const address = (reason: string): Denied => ({ denied: "address", reason });

function nameOf({ vnic, hypervisor, port, nveId }: Applicant): string {
  const who = vnic === undefined ? "a VNIC without a UUID" : `VNIC ${vnic}`;
  const whose = hypervisor === undefined ? "" : ` of hypervisor "${hypervisor}"`;
  const where = port === "" ? "" : ` port ${port}`;
  return `${who}${whose} at ${nveId}${where}`;
}
