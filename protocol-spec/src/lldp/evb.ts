import { same } from "../same.ts";
import { type EvbTlv, findEvbTlv } from "./evb-tlv.ts";
import type { OptionalTlv } from "./optional-tlv.ts";

/**
 * EVB negotiation (802.1Q §40.4, §D.2.12; spec/lldp-evb.md 3.1): each side shows its own policy and copies
 * the other's status; R, RTE, RWD and RKA in force are the larger of both sides' (never act on ROL).
 *
 *   alone ─peer─► agreed ─peer─► agreed        agreed ─peer gone─► alone
 */
export type Evb =
  | { is: "alone"; role: EvbRole; policy: EvbPolicy; local: EvbTlv }
  | { is: "agreed"; role: EvbRole; policy: EvbPolicy; local: EvbTlv; peer: EvbTlv };

export type EvbRole = "station" | "bridge";

/**
 * The EVB TLV of a peer of this role's: of the other role. Where a bridge stands between, stations hear stations, and
 * bridges may hear bridges.
 */
export function evbTlvFor(role: EvbRole, tlvs: readonly OptionalTlv[]): EvbTlv | undefined {
  const tlv = findEvbTlv(tlvs);
  return tlv?.mode === EVB_MODE[role === "station" ? "bridge" : "station"] ? tlv : undefined;
}

const EVB_MODE = { bridge: 1, station: 2 } as const;

/** What this side offers. Exponents 0 … 27: lldpad overflows above (spec/vdp.md 4). */
export type EvbPolicy = {
  groupId: boolean;
  /** Reflective relay: a bridge can (RRCAP), a station asks (RRREQ). */
  reflectiveRelay: boolean;
  r: number;
  rte: number;
  rwd: number;
  rka: number;
};

/** RTE 14 = 164 ms: the 2.56 ms that lldpad defaults to is too short for this runtime. */
export const defaultEvbPolicy: EvbPolicy = {
  groupId: true,
  reflectiveRelay: false,
  r: 3,
  rte: 14,
  rwd: 20,
  rka: 20,
};

/** What both sides ended up with. Before any EVB TLV came, `groupId` is false and the numbers are ours. */
export type EvbAgreed = {
  peer: boolean;
  groupId: boolean;
  r: number;
  rte: number;
  rwd: number;
  rka: number;
};

export type EvbEvent = { on: "peer"; tlv: EvbTlv } | { on: "peer-gone" };

/**
 * `announce`: our own TLV changed, send a LLDPDU. `agreed`: what is in force changed. `anew`: the peer knew us and
 * does not any more, so it was started anew and has forgotten all that was said to it.
 */
export type EvbAction = { do: "announce" } | { do: "agreed"; agreed: EvbAgreed } | { do: "anew" };

export const evbStart = (role: EvbRole, policy: EvbPolicy): Evb => ({
  is: "alone",
  role,
  policy,
  local: localTlv(role, policy, undefined),
});

export function stepEvb(evb: Evb, event: EvbEvent): readonly [Evb, ...EvbAction[]] {
  const next = event.on === "peer" ? heard(evb, event.tlv) : evbStart(evb.role, evb.policy);
  const actions: EvbAction[] = [];
  if (!same(next.local, evb.local) || mustHearUs(next)) actions.push({ do: "announce" });
  const agreed = evbAgreed(next);
  if (!same(agreed, evbAgreed(evb))) actions.push({ do: "agreed", agreed });
  if (knowsUs(evb) && hasForgotten(evb, next)) actions.push({ do: "anew" });
  return [next, ...actions];
}

export function evbAgreed(evb: Evb): EvbAgreed {
  const { r, rte, rwd, rka } = evb.local;
  if (evb.is === "alone") return { peer: false, groupId: false, r, rte, rwd, rka };
  const theirs = evb.role === "station" ? evb.peer.bridge.groupId : evb.peer.station.groupId;
  return { peer: true, groupId: evb.policy.groupId && theirs, r, rte, rwd, rka };
}

/**
 * What the peer shows is not our status: it was started anew, or has never heard us, and to LLDP it may be no new
 * neighbour. Until it hears us it refuses GroupIDs, as lldpad does, and our next LLDPDU may be 30 s away. Feed each
 * LLDPDU of its, the repeats too; the credit of the transmit side is the bound.
 */
const mustHearUs = (now: Evb): boolean => {
  const copy = copyOfOurs(now);
  return copy !== undefined && !same(copy, now.local[now.role]);
};

const knowsUs = (evb: Evb): boolean => same(copyOfOurs(evb), evb.local[evb.role]);

/** Its copy may be behind ours by one change; an older one it has from nowhere. */
const hasForgotten = (before: Evb, now: Evb): boolean => {
  const copy = copyOfOurs(now);
  const known = [before.local[before.role], now.local[now.role]];
  return copy !== undefined && !known.some((ours) => same(copy, ours));
};

const copyOfOurs = (evb: Evb) => (evb.is === "agreed" ? evb.peer[evb.role] : undefined);

const heard = ({ role, policy }: Evb, peer: EvbTlv): Evb => ({
  is: "agreed",
  role,
  policy,
  peer,
  local: localTlv(role, policy, peer),
});

function localTlv(role: EvbRole, policy: EvbPolicy, peer: EvbTlv | undefined): EvbTlv {
  return {
    bridge: role === "bridge" ? bridgeStatus(policy, peer) : (peer?.bridge ?? noBridge),
    station: role === "station" ? stationStatus(policy, peer) : (peer?.station ?? noStation),
    r: Math.max(policy.r, peer?.r ?? 0),
    rte: Math.max(policy.rte, peer?.rte ?? 0),
    mode: EVB_MODE[role],
    // @NOTE 1 also where both are equal, as lldpad does; the standard's rule for equality is not known.
    rolRwd: peer !== undefined && peer.rwd >= policy.rwd,
    rwd: Math.max(policy.rwd, peer?.rwd ?? 0),
    rolRka: peer !== undefined && peer.rka >= policy.rka,
    rka: Math.max(policy.rka, peer?.rka ?? 0),
  };
}

const bridgeStatus = (policy: EvbPolicy, peer: EvbTlv | undefined): EvbTlv["bridge"] => ({
  groupId: policy.groupId,
  reflectiveRelayCapable: policy.reflectiveRelay,
  reflectiveRelay: policy.reflectiveRelay && (peer?.station.reflectiveRelayRequest ?? false),
});

/** RRSTAT: 3 while nothing is heard from the bridge, then what it says that it does. */
function stationStatus(policy: EvbPolicy, peer: EvbTlv | undefined): EvbTlv["station"] {
  const status = peer === undefined ? 3 : peer.bridge.reflectiveRelay ? 1 : 0;
  return {
    groupId: policy.groupId,
    reflectiveRelayRequest: policy.reflectiveRelay,
    reflectiveRelay: status,
  };
}

const noBridge = { groupId: false, reflectiveRelayCapable: false, reflectiveRelay: false };
const noStation = { groupId: false, reflectiveRelayRequest: false, reflectiveRelay: 0 } as const;
