export {
  bits,
  concat,
  decode,
  hexPairs,
  hexText,
  Reader,
  sameOctets,
  uint,
  utf8From,
  utf8Octets,
  type Width,
} from "./bytes.ts";
export { type Ecpdu, EcpSubtype, ecpduOctets, readEcpdu } from "./ecp/ecpdu.ts";
export {
  type EcpRx,
  type EcpRxAction,
  type EcpRxEvent,
  ecpRxStart,
  stepEcpRx,
} from "./ecp/receive.ts";
export {
  type EcpTiming,
  type EcpTx,
  type EcpTxAction,
  type EcpTxEvent,
  ecpTxStart,
  stepEcpTx,
  type Ulpdu,
} from "./ecp/transmit.ts";
export { type DecodeCode, DecodeError, OutOfRange } from "./errors.ts";
export {
  EtherType,
  type Frame,
  frameOctets,
  GroupAddress,
  readFrame,
  type VlanTag,
} from "./ethernet/frame.ts";
export {
  HypervisorId,
  Instant,
  isGroup,
  Mac,
  macFrom,
  macOctets,
  NveId,
  Uuid,
  uuidFrom,
  uuidOctets,
  Vid,
  VnId,
  Vni,
} from "./ids.ts";
export {
  holdsHosts,
  IpAddress,
  IpPrefix,
  ipFrom,
  ipOctets,
  isIpv6,
  isMulticast,
  isSingle,
  isUnicast,
  networkOf,
  prefixesIn,
  prefixFrom,
  prefixFromOctets,
  prefixParts,
  widthOf,
} from "./ip.ts";
export {
  defaultEvbPolicy,
  type Evb,
  type EvbAction,
  type EvbAgreed,
  type EvbEvent,
  type EvbPolicy,
  type EvbRole,
  evbAgreed,
  evbStart,
  evbTlvFor,
  stepEvb,
} from "./lldp/evb.ts";
export {
  EVB_OUI,
  EVB_SUBTYPE,
  type EvbMode,
  type EvbTlv,
  evbOptionalTlv,
  evbTlvOctets,
  findEvbTlv,
  readEvbTlv,
} from "./lldp/evb-tlv.ts";
export {
  announcing,
  EXTENSION_SUBTYPE,
  EXTENSION_VERSION,
  type Extension,
  type ExtensionKind,
  extensionOctets,
  extensionOptionalTlv,
  findExtension,
  readExtension,
  readsOurs,
} from "./lldp/extension-tlv.ts";
export { type Lldpdu, lldpduOctets, readLldpdu, type TypedId } from "./lldp/lldpdu.ts";
export { NONCE_SUBTYPE, nonceOf, nonceTlv } from "./lldp/nonce-tlv.ts";
export {
  Capability,
  type ManagementAddress,
  managementAddressTlv,
  type OptionalTlv,
  type TextTlv,
} from "./lldp/optional-tlv.ts";
export {
  type LldpRx,
  type LldpRxAction,
  type LldpRxEvent,
  lldpRxStart,
  maxNeighbours,
  type Neighbour,
  sameNeighbour,
  stepLldpRx,
} from "./lldp/receive.ts";
export {
  capabilitiesOf,
  chassisText,
  IdSubtype,
  managementAddressOf,
  portText,
  textOf,
} from "./lldp/text.ts";
export {
  type LldpTx,
  type LldpTxAction,
  type LldpTxEvent,
  lldpTiming,
  lldpTxStart,
  stepLldpTx,
} from "./lldp/transmit.ts";
export { type Arp, type ArpEnd, arpOctets, readArp } from "./neighbour/arp.ts";
export {
  type Dhcp,
  type Dhcp6,
  Dhcp6Message,
  DhcpMessage,
  dhcp6Octets,
  dhcpOctets,
  readDhcp,
  readDhcp6,
} from "./neighbour/dhcp.ts";
export { type Nd, ndOctets, readNd } from "./neighbour/nd.ts";
export {
  type DigestLocation,
  type DigestMapping,
  digestOf,
  Ledger,
  locationOctets,
  mappingOctets,
  memberOctets,
} from "./nva/digest.ts";
export { readUdpOverIp, type Udp } from "./overlay/udp.ts";
export { readVxlan, VXLAN_PORT, type Vxlan, vxlanOctets } from "./overlay/vxlan.ts";
export { cutUtf8, printable } from "./text.ts";
export {
  END_TLV,
  MAX_TLV_LENGTH,
  NVE_OUI,
  ORGANIZATIONAL_TLV,
  type Organizational,
  organizationalOctets,
  readOrganizational,
  readTlv,
  TLV_HEADER,
  type Tlv,
  tlvOctets,
} from "./tlv.ts";
export {
  addressesOf,
  addressTlvs,
  ciscoAddressTlvs,
  readAddresses,
  type VsiAddress,
  type VsiAddresses,
} from "./vdp/address-tlv.ts";
export {
  type Association,
  type AssociationType,
  associationOctets,
  readAssociation,
  readVsiId,
  type Status,
  sameVsi,
  uuidOfVsi,
  VdpError,
  type VsiId,
  VsiIdFormat,
  vsiIdOctets,
  vsiIdOf,
  vsiIdText,
} from "./vdp/association.ts";
export {
  AUTH_SUBTYPE,
  type AuthKey,
  isAuthentic,
  NONCE_OCTETS,
  SEAL_OCTETS,
  type Seal,
  type SealContext,
  sealed,
  unsealed,
} from "./vdp/auth-tlv.ts";
export {
  type BridgeAction,
  type BridgeEvent,
  type BridgeVsi,
  bridgeStart,
  type ReleaseWhy,
  stepBridge,
} from "./vdp/bridge.ts";
export {
  associationLength,
  type Filters,
  filterOctets,
  maxEntries,
  readFilters,
  type Tag,
  vnIdOfGroup,
} from "./vdp/filters.ts";
export { labelsOf, labelTlv, MAX_LABEL, readLabels, type VsiLabels } from "./vdp/label-tlv.ts";
export { macsOf, macTlvs, readMacs, type VsiMac, type VsiMacs } from "./vdp/mac-tlv.ts";
export { answers, asksForGranted, withGrantedVids } from "./vdp/match.ts";
export { mtusOf, mtuTlvs, readMtus, type VnMtu, type VsiMtus } from "./vdp/mtu-tlv.ts";
export {
  isPlaceholder,
  namesOf,
  nameTlvs,
  placeholder,
  readNames,
  type VnNaming,
  type VsiNames,
} from "./vdp/name-tlv.ts";
export { besideVsi, OurSubtype, THIRD_ROOM } from "./vdp/our-tlv.ts";
export { prefixesOf, prefixTlvs, readPrefixes } from "./vdp/prefix-tlv.ts";
export { readReason, reasonFor, reasonTlv, type VsiReason } from "./vdp/reason-tlv.ts";
export {
  hashOfSet,
  MAX_SET_PARTS,
  membersOfSet,
  partsOfSet,
  readSet,
  sameHash,
  setOf,
  setTlv,
  type VsiSet,
} from "./vdp/set-tlv.ts";
export {
  type Station,
  type StationAction,
  type StationEnd,
  type StationEvent,
  stationStart,
  stepStation,
  type VsiRequest,
} from "./vdp/station.ts";
export { type VdpTimes, vdpTimes } from "./vdp/timers.ts";
export { readVdpdu, type Vdpdu, type VdpTlv, vdpduLength, vdpduOctets } from "./vdp/vdpdu.ts";
