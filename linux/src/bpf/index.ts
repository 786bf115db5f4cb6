export {
  type AttachKind,
  type Attachment,
  type AttachOptions,
  attachIngress,
  detachLeftover,
  detachLeftovers,
  detachPinned,
  interfaceIndex,
  interfaceName,
  interfacesWith,
} from "./attach.ts";
export { BpfError } from "./error.ts";
export { Grace } from "./grace.ts";
export { type IngressOptions, IngressPorts } from "./ingress-ports.ts";
export { ip, type Layout, mac, octets, struct, u8, u16, u32, u64 } from "./layout.ts";
export type { BpfMap, BpfQueue, PerCpuMap } from "./map.ts";
export { type BpfObject, type BpfObjectOptions, type BpfProgram, openBpfObject } from "./object.ts";
export {
  isBpffs,
  openPinFolder,
  type PinFolder,
  pinnedEntries,
  sweepPinFolders,
} from "./pins.ts";
export {
  lastingPromiscuous,
  type PromiscuousBook,
  promiscuous,
  setPromiscuous,
} from "./promiscuous.ts";
export type { BpfRing } from "./ring.ts";
