export { NveCore } from "./core.ts";
export type { NveEffect, NveEvent, PortOptions, Report } from "./events.ts";
export { Fdb, type Member, type Remote, type RemoteChange } from "./fdb.ts";
export {
  type AccessIntent,
  type Intent,
  type IntentChange,
  intentChange,
  intentKey,
  type MacIntent,
  type Place,
  placeKey,
  sameIntent,
  type VnIntent,
} from "./intents.ts";
export { contentOf, entriesOf, withVids } from "./request.ts";
export { type LocalVnic, nothing, type Served, serve } from "./serve.ts";
export { allTags, TagPool, type TagRange } from "./tag-pool.ts";
export { Tree, type TreeNode, type VnicContent } from "./tree.ts";
export type {
  Ask,
  Entry,
  Granted,
  LocalClaim,
  Refusal,
  Verdict,
  VnInfo,
  Vsi,
  VsiMode,
} from "./vsi.ts";
