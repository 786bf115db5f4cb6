// An NVE without access ports, for who attaches VNICs to it in the same process (A8).
export { nveService, plainPort, statusOf } from "../control.ts";
export {
  type DataplaneConfig,
  dataplaneConfig,
  type NvaConfig,
  nvaConfig,
  vtepConfig,
} from "./config.ts";
export { type Decision, type FixedAsk, FixedAsks, type FixedVn } from "./fixed-asks.ts";
export { type WatchInterface, watchInterface } from "./interfaces.ts";
export { type Asker, Nve, type NveOptions } from "./nve.ts";
export { openNve } from "./open.ts";
export { isAway, pauseMs } from "./retry.ts";
