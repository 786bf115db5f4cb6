import type { IpAddress, Mac, Vni } from "@nve/protocol-spec";
import type { IntentTable } from "./intent-table.ts";
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
};

/** Frames that arrive on `port` with `vid` belong to `vni` (V8); with 0 those without a tag (A8, A11). */
export type AccessIntent = { is: "access"; port: string; vid: PortTag; vni: Vni } & AccessRules;

export type AccessRules = {
  /** Frames from a MAC that is not known to be at this place are dropped. */
  checkSource?: true;
  /** Unknown sources, and what ARP, ND and DHCP say, are shown to the agent (H16). */
  glean?: true;
};

/** Where a MAC of a VN is. */
export type MacIntent = { is: "mac"; vni: Vni; mac: Mac; at: Place };

export type Place = LocalPlace | { is: "remote"; vtep: IpAddress };
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

/** Flood lists are compared in order: whoever makes one sorts it. */
export function sameIntent(a: Intent, b: Intent): boolean {
  if (a.is === "vn" && b.is === "vn") {
    const alike = a.floodUnknown === b.floodUnknown && a.askUnknown === b.askUnknown;
    return alike && a.vni === b.vni && samePlaces(a.flood, b.flood);
  }
  if (a.is === "access" && b.is === "access") {
    const alike = a.checkSource === b.checkSource && a.glean === b.glean;
    return alike && a.port === b.port && a.vid === b.vid && a.vni === b.vni;
  }
  if (a.is === "mac" && b.is === "mac") {
    return a.vni === b.vni && a.mac === b.mac && samePlace(a.at, b.at);
  }
  return false;
}

export const placeKey = (place: Place): string =>
  place.is === "local" ? `local ${place.port} ${place.vid}` : `remote ${place.vtep}`;

const samePlace = (a: Place, b: Place): boolean =>
  a.is === "local"
    ? b.is === "local" && a.port === b.port && a.vid === b.vid
    : b.is === "remote" && a.vtep === b.vtep;

const samePlaces = (a: readonly Place[], b: readonly Place[]): boolean =>
  a === b ||
  (a.length === b.length &&
    a.every((place, i) => {
      const other = b[i];
      return other !== undefined && samePlace(place, other);
    }));
