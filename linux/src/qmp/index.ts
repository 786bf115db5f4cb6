export { QmpGone, QmpRefused } from "./errors.ts";
export type { QmpEvent } from "./message.ts";
export { connectQmp, type Qmp, type QmpOptions } from "./qmp.ts";
export {
  type MigrationInfo,
  type NicFilter,
  queryMigrate,
  queryNics,
  queryStatus,
  setMigrationCapabilities,
  type VmStatus,
} from "./queries.ts";
