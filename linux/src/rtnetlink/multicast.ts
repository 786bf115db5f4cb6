import { concat, type IpAddress, ipOctets, isIpv6 } from "@nve/protocol-spec";
import { attribute, cString, hostUint, nested } from "./codec.ts";

/**
 * A VXLAN device that is there to listen to a group of the underlay, as the kernel joins it for the device (IGMP, MLD) and
 * stays in it for as long as the device is up: with no process that has to.
 */
export type VxlanGroup = {
  name: string;
  group: IpAddress;
  /** The interface where the group is joined. */
  link: number;
  /** UDP port of its own, of no use. */
  port: number;
};

/** Body of RTM_NEWLINK. */
export function vxlanGroupOctets({ name, group, link, port }: VxlanGroup): Uint8Array {
  const of = isIpv6(group) ? VXLAN.group6 : VXLAN.group;
  return concat(
    new Uint8Array(IFINFO),
    attribute(IFLA.ifname, cString(name)),
    nested(
      IFLA.linkinfo,
      attribute(INFO.kind, cString("vxlan")),
      nested(
        INFO.data,
        attribute(VXLAN.id, hostUint(4, VNI)),
        attribute(of, ipOctets(group)),
        attribute(VXLAN.link, hostUint(4, link)),
        attribute(VXLAN.learning, Uint8Array.of(0)),
        attribute(VXLAN.port, Uint8Array.of(port >> 8, port & 0xff)),
      ),
    ),
  );
}

/** Body of RTM_NEWROUTE and RTM_DELROUTE: what goes to an IPv6 group leaves by this interface, before all other ways. */
export function groupRouteOctets(group: IpAddress, link: number): Uint8Array {
  const octets = ipOctets(group);
  const family = octets.length === 16 ? AF_INET6 : AF_INET;
  // rtmsg: family, destination and source length, tos, table, protocol, scope, type; flags
  const header = [family, octets.length * 8, 0, 0, TABLE_LOCAL, PROTOCOL_STATIC, 0, MULTICAST];
  return concat(
    concat(Uint8Array.from(header), hostUint(4, 0)),
    concat(attribute(RTA.destination, octets), attribute(RTA.out, hostUint(4, link))),
  );
}

const IFINFO = 16;
const IFLA = { ifname: 3, linkinfo: 18 };
const INFO = { kind: 1, data: 2 };
const VXLAN = { id: 1, group: 2, link: 3, learning: 7, port: 15, group6: 16 };
const VNI = 0xffffff;
const RTA = { destination: 1, out: 4 };
const [AF_INET, AF_INET6] = [2, 10];
/** Multicast routes of IPv6 are there, and it is looked at first. */
const TABLE_LOCAL = 255;
const PROTOCOL_STATIC = 4;
/** RTN_MULTICAST. */
const MULTICAST = 5;
