export { type Capability, hasCapability } from "./capabilities.ts";
export { type CaptureLink, captureLink } from "./capture-link.ts";
export { type Clock, systemClock } from "./clock.ts";
export {
  type ControlFrames,
  controlFrames,
  type Intake,
  isControlFrame,
} from "./control-frames.ts";
export { type Driven, drive, type Tick } from "./drive.ts";
export { type Announced, announcement } from "./edge/announcement.ts";
export { type Budget, budget } from "./edge/budget.ts";
export { type Guard, type GuardOptions, openGuard, type SealFault } from "./edge/guard.ts";
export {
  type EdgeCounters,
  type EdgePeer,
  type EdgePort,
  type EdgePortOptions,
  openEdgePort,
} from "./edge-port.ts";
export { SystemError, Unavailable } from "./errors.ts";
export { type Finding, type Machine, probeFeatures } from "./features.ts";
export { followingLink, type OpenPort, type Port } from "./following-link.ts";
export { type EchoReply, type IcmpEcho, openIcmpEcho } from "./icmp-echo.ts";
export type { Link, LinkOptions, LinkState, Losses } from "./link.ts";
export {
  type LinkChanged,
  type LinkMonitor,
  linkMonitor,
  openLinkMonitor,
} from "./link-monitor.ts";
export { NativeSocket, type Setting, type SocketOptions } from "./native.ts";
export { controlFilter, etherTypeFilter, strayFilter } from "./packet-filter.ts";
export { openPacketLink } from "./packet-link.ts";
export { pcapHeaderOctets, pcapRecordOctets } from "./pcap-file.ts";
export { openPcapLink } from "./pcap-link.ts";
export { type Drops, receive } from "./receive.ts";
export { missingRights } from "./rights.ts";
export { type AddressInfo, readAddress } from "./rtnetlink/address.ts";
export type { BridgePort, BridgePortFlags, FdbEntry, LinkCounts } from "./rtnetlink/bridge.ts";
export { type Bridging, openBridging } from "./rtnetlink/bridging.ts";
export {
  attribute,
  cString,
  hostUint,
  messageOctets,
  nested,
  readAttributes,
  readCString,
  readHostUint,
  readMessages,
} from "./rtnetlink/codec.ts";
export type { Filter, FilterInfo } from "./rtnetlink/filter.ts";
export {
  isUp,
  type LinkChange,
  type LinkInfo,
  linkChangeOctets,
  readLink,
  type VxlanExternal,
  vxlanExternalOctets,
} from "./rtnetlink/link.ts";
export type { VxlanGroup } from "./rtnetlink/multicast.ts";
export type { Neighbour, Route } from "./rtnetlink/route.ts";
export { openRouting, type Routing, type RoutingEvent } from "./rtnetlink/routes.ts";
export { type LinkEvent, openRtnetlink, type Rtnetlink } from "./rtnetlink/rtnetlink.ts";
export { NetlinkError } from "./rtnetlink/socket.ts";
export { seldom } from "./seldom.ts";
