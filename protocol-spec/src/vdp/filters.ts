import type { Mac, Vid } from "../ids.ts";

/**
 * The frames a VSI claims (802.1Q clause 41; spec/vdp.md 1.5). Without a VID the bridge chooses one.
 * One TLV holds one kind of filter; 0 … 243 (vid), 60 (mac), 81 (group), 40 (group-mac) entries fit a TLV.
 *
 *   octets  1        2             4 (3, 4)   6 (2, 4)  2
 *         | format | count | then | GroupID  | MAC     | PS:1 PCP:3 VID:12 | `count` times
 */
export type Filters =
  | { by: "vid"; entries: readonly Tag[] }
  | { by: "mac-vid"; entries: readonly (Tag & { mac: Mac })[] }
  | { by: "group-vid"; entries: readonly (Tag & { groupId: number })[] }
  | { by: "group-mac-vid"; entries: readonly (Tag & { groupId: number; mac: Mac })[] };

/** `pcp` is there when PS is set. */
export type Tag = { pcp?: number; vid?: Vid };
