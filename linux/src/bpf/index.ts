export {
  type AttachKind,
  type Attachment,
  type AttachOptions,
  attachIngress,
  detachLeftover,
  detachLeftovers,
  interfaceIndex,
} from "./attach.ts";
export { BpfError } from "./error.ts";
export { type IngressOptions, IngressPorts } from "./ingress-ports.ts";
export { ip, type Layout, mac, octets, struct, u8, u16, u32, u64 } from "./layout.ts";
export type { BpfMap, BpfQueue, PerCpuMap } from "./map.ts";
export { type BpfObject, type BpfObjectOptions, type BpfProgram, openBpfObject } from "./object.ts";
export { promiscuous } from "./promiscuous.ts";
