import type { IpAddress, IpPrefix, Mac, Uuid, Vni } from "@nve/protocol-spec";
import type { IntentTable } from "./intent-table.ts";
import type { AclRule, Qos } from "./profile.ts";
import type { PortTag } from "./vsi.ts";

/**
 * What the NVE core wants forwarded. Plain data: no driver's words, no file handles, no order. Each intent has a
 * key (`intentKey`); an intent of the same key replaces the older one in place, with no gap.
 */
export type Intent = VnIntent | AccessIntent | MacIntent;

/** A VN that has members here, and where its broadcast, multicast and unknown unicast goes (A10, P8). */
export type VnIntent = {
  is: "vn";
  vni: Vni;
  flood: readonly Place[];
  floodUnknown: boolean;
  /** Pull (A18): whom members here look for and the dataplane does not know is shown to the agent. */
  askUnknown?: true;
} & VnRules;

/** What holds in the whole VN. All of it may be absent: then nothing of the kind is done. */
export type VnRules = {
  /** The VN's group of the underlay: what other NVEs of the VN send there is heard here (A10). */
  group?: IpAddress;
  /** What goes to all other NVEs goes to `group` once, in place of one copy in VXLAN for each. */
  sendToGroup?: true;
  /** ARP and ND for an IP that exactly one MAC of the VN has (`ips`) are answered here and go no further (P12). */
  answer?: true;
  /**
   * Octets of the longest packet that goes to another NVE, if that is less than what the underlay leaves. The senders of
   * longer ones are told "too big" (A10).
   */
  mtu?: number;
  /** Frames to all that one place may send: a token bucket. What is too much is counted as `flood-limit` (P12, V11). */
  floodLimit?: FloodLimit;
  /** The first rule that matches counts, what none matches passes (H25). */
  acl?: readonly AclRule[];
  /** Of each VNIC's own frames: more is counted as `policed`; and what DSCP they get. */
  qos?: Qos;
  /** What becomes of packets for MACs that are `suspended` (M8). Absent: as of all others. */
  suspended?: Suspended;
};

/** Nothing; or their senders are told "host unreachable" (RFC 792), "address unreachable" (RFC 4443 §3.1), for each place so often. */
export type Suspended = "drop" | "unreachable";

export type FloodLimit = { perSecond: number; burst: number };

/** Frames that arrive on `port` with `vid` belong to `vni` (V8); with 0 those without a tag (A8, A11). */
export type AccessIntent = { is: "access"; port: string; vid: PortTag; vni: Vni } & AccessRules;

export type AccessRules = {
  /** Frames from a MAC that is not known to be at this place are dropped. */
  checkSource?: true;
  /**
   * With `checkSource`: packets, ARP and ND from an IP that its MAC does not have (`ips`) are dropped as `spoofed-ip`
   * (M10). Those of a MAC with no `ips` pass: nobody said them. 0.0.0.0, :: and the link-local IPv6 address that is
   * made of the MAC are always its own.
   */
  checkIps?: true;
  /** As `VnRules.floodLimit`, of all places of this port together, which say the same; both hold. */
  floodLimit?: FloodLimit;
  /** Unknown sources, and what ARP, ND and DHCP say, are shown to the agent (H16). */
  glean?: true;
};

/** Where a MAC of a VN is. */
export type MacIntent = {
  is: "mac";
  vni: Vni;
  mac: Mac;
  at: Place;
  /** The IPs that it has, sorted: of one of its own for `checkIps`, of any for `answer`. */
  ips?: readonly IpPrefix[];
  /** Of one that is here: whose frames are policed and counted together. */
  vnic?: Uuid;
  /** Of one at another NVE: it was here, and what still comes for it from the overlay goes on to `at` (M5). */
  moved?: true;
  /** Of one that is here, or was here last (`nowhere`): its user is suspended (M8). */
  suspended?: true;
};

/** Here, but at no port: what has left and has arrived nowhere yet. */
export const nowhere: LocalPlace = { is: "local", port: "", vid: 0 };

export type Place = LocalPlace | RemotePlace;
export type RemotePlace = { is: "remote"; vtep: IpAddress; encapsulation?: Encapsulation };
/** How frames go to another NVE; absent: VXLAN (A24). */
export type Encapsulation = "nvgre" | "mpls-over-gre";
export type LocalPlace = { is: "local"; port: string; vid: PortTag };

export function intentKey(intent: Intent): string {
  switch (intent.is) {
    case "vn":
      return `vn ${intent.vni}`;
    case "access":
      return `access ${intent.port} ${intent.vid}`;
    case "mac":
      return `mac ${intent.vni} ${intent.mac}`;
  }
}

/** What is to be ensured and removed to get from one set of intents to another. */
export type IntentChange = { ensure: readonly Intent[]; remove: readonly Intent[] };

/** The smallest change: what is the same in both is not named. */
export function intentChange(
  before: IntentTable<Intent>,
  after: IntentTable<Intent>,
): IntentChange {
  const ensure: Intent[] = [];
  const remove: Intent[] = [];
  for (const intent of after.values()) {
    const was = before.get(intent);
    if (was === undefined || !sameIntent(was, intent)) ensure.push(intent);
  }
  for (const intent of before.values()) if (after.get(intent) === undefined) remove.push(intent);
  return { ensure, remove };
}

/** Lists are compared in order: whoever makes one sorts it. */
export function sameIntent(a: Intent, b: Intent): boolean {
  if (a.is === "vn" && b.is === "vn") {
    const alike = a.floodUnknown === b.floodUnknown && a.askUnknown === b.askUnknown;
    return alike && a.vni === b.vni && samePlaces(a.flood, b.flood) && sameVnRules(a, b);
  }
  if (a.is === "access" && b.is === "access") {
    return a.port === b.port && a.vid === b.vid && a.vni === b.vni && sameAccessRules(a, b);
  }
  if (a.is === "mac" && b.is === "mac") {
    const marks = a.moved === b.moved && a.suspended === b.suspended;
    const alike = a.vni === b.vni && a.mac === b.mac && a.vnic === b.vnic;
    return alike && marks && samePlace(a.at, b.at) && sameIps(a.ips, b.ips);
  }
  return false;
}

export const sameVnRules = (a: VnRules, b: VnRules): boolean =>
  a.group === b.group &&
  a.sendToGroup === b.sendToGroup &&
  a.answer === b.answer &&
  a.mtu === b.mtu &&
  a.suspended === b.suspended &&
  sameLimit(a.floodLimit, b.floodLimit) &&
  (a.acl === b.acl || JSON.stringify(a.acl) === JSON.stringify(b.acl)) &&
  (a.qos === b.qos || JSON.stringify(a.qos) === JSON.stringify(b.qos));

export const sameAccessRules = (a: AccessRules, b: AccessRules): boolean =>
  a.checkSource === b.checkSource &&
  a.checkIps === b.checkIps &&
  a.glean === b.glean &&
  sameLimit(a.floodLimit, b.floodLimit);

const sameLimit = (a: FloodLimit | undefined, b: FloodLimit | undefined): boolean =>
  a?.perSecond === b?.perSecond && a?.burst === b?.burst;

const sameIps = (a: readonly IpPrefix[] = [], b: readonly IpPrefix[] = []): boolean =>
  a === b || (a.length === b.length && a.every((ip, i) => ip === b[i]));

export const placeKey = (place: Place): string =>
  place.is === "local"
    ? `local ${place.port} ${place.vid}`
    : `remote ${place.vtep}${place.encapsulation === undefined ? "" : ` ${place.encapsulation}`}`;

const samePlace = (a: Place, b: Place): boolean =>
  a.is === "local"
    ? b.is === "local" && a.port === b.port && a.vid === b.vid
    : b.is === "remote" && a.vtep === b.vtep && a.encapsulation === b.encapsulation;

const samePlaces = (a: readonly Place[], b: readonly Place[]): boolean =>
  a === b ||
  (a.length === b.length &&
    a.every((place, i) => {
      const other = b[i];
      return other !== undefined && samePlace(place, other);
    }));
