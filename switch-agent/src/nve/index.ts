export { isAdmitted } from "./admitted.ts";
export { type Announcement, framesOf } from "./announce.ts";
export { NveCore } from "./core.ts";
export type { Departure } from "./departures.ts";
export {
  carries,
  type EncapsulationName,
  encapsulationFor,
  encapsulations,
  remotePlace,
  type Via,
  viaOf,
  viaVxlan,
  type Way,
} from "./encapsulations.ts";
export type { NveEffect, NveEvent, PortOptions, Report, Waiting } from "./events.ts";
export { Fdb, type Member, type Remote, type RemoteChange, type Told } from "./fdb.ts";
export {
  type Conflict,
  type GleanCount,
  type GleanedMac,
  type GleanOptions,
  gleanDefaults,
  MAX_GLEANED,
  type Provenance,
  type Sample,
} from "./glean.ts";
export { IntentTable, type Keyed } from "./intent-table.ts";
export {
  type AccessIntent,
  type AccessRules,
  type Encapsulation,
  type FloodLimit,
  type Intent,
  type IntentChange,
  intentChange,
  intentKey,
  type LocalPlace,
  type MacIntent,
  nowhere,
  type Place,
  placeKey,
  type RemotePlace,
  type Suspended,
  sameAccessRules,
  sameIntent,
  sameVnRules,
  type VnIntent,
  type VnRules,
} from "./intents.ts";
export { Port } from "./ports.ts";
export type { PreparedVnic } from "./prepared.ts";
export { type AclRule, MAX_ACL_RULES, type Qos, ruleText, type VnProfile } from "./profile.ts";
export { contentOf, entriesOf, withLent, withVids } from "./request.ts";
export { type Sighting, sightingsOf } from "./sightings.ts";
export { allTags, TagPool, type TagRange } from "./tag-pool.ts";
export { Tree, type TreeNode, type VnicContent } from "./tree.ts";
export type { SuspendedMode, Unknown } from "./vn-infos.ts";
export type { LocalVnic } from "./vnic.ts";
export type {
  Ask,
  Entry,
  Fixed,
  Granted,
  LocalClaim,
  PortTag,
  Refusal,
  StationAsk,
  Verdict,
  VnInfo,
  Vsi,
  VsiMode,
} from "./vsi.ts";
