import type { IpAddress, Mac, Vid, Vni } from "@nve/protocol-spec";

/**
 * What the NVE core wants forwarded. Plain data: no driver's words, no file handles, no order. Each intent has a
 * key (`intentKey`); an intent of the same key replaces the older one in place, with no gap.
 */
export type Intent = VnIntent | AccessIntent | MacIntent;

/** A VN that has members here, and where its broadcast, multicast and unknown unicast goes (A10, P8). */
export type VnIntent = { is: "vn"; vni: Vni; flood: readonly Place[]; floodUnknown: boolean };

/** Frames that arrive on `port` with `vid` belong to `vni` (V8). */
export type AccessIntent = { is: "access"; port: string; vid: Vid; vni: Vni };

/** Where a MAC of a VN is. */
export type MacIntent = { is: "mac"; vni: Vni; mac: Mac; at: Place };

export type Place = { is: "local"; port: string; vid: Vid } | { is: "remote"; vtep: IpAddress };

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
