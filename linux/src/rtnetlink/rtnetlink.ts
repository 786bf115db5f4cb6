import type { IpAddress } from "@nve/protocol-spec";
import { type AddressInfo, addressDumpOctets, readAddress } from "./address.ts";
import {
  type LinkChange,
  type LinkInfo,
  linkChangeOctets,
  linkDumpOctets,
  linkIndexOctets,
  readLink,
  type VxlanExternal,
  vxlanExternalOctets,
} from "./link.ts";
import { groupRouteOctets, type VxlanGroup, vxlanGroupOctets } from "./multicast.ts";
import { type Heard, RtnetlinkSocket } from "./socket.ts";

/** Interfaces and addresses of this network namespace. Every promise may be rejected with a NetlinkError. */
export interface Rtnetlink {
  links(): Promise<LinkInfo[]>;
  /** `undefined`: there is no such interface. */
  link(name: string): Promise<LinkInfo | undefined>;
  addresses(): Promise<AddressInfo[]>;
  setLink(index: number, change: LinkChange): Promise<void>;
  /** Made down, without a link-local address. @returns its index. Code EEXIST: the name is taken. */
  addVxlanExternal(vxlan: VxlanExternal): Promise<number>;
  /** Made down, as above. */
  addVxlanGroup(vxlan: VxlanGroup): Promise<number>;
  /** Code EEXIST: there is one. */
  addGroupRoute(group: IpAddress, link: number): Promise<void>;
  /** Code ESRCH: there is none. */
  deleteGroupRoute(group: IpAddress, link: number): Promise<void>;
  deleteLink(index: number): Promise<void>;
  close(): void;
}

/** What an event socket tells about interfaces. */
export type LinkEvent =
  | { on: "link"; link: LinkInfo }
  | { on: "gone"; link: LinkInfo }
  /** Events were lost: take `links()` for what is now. */
  | { on: "resync" };

/**
 * Opens one rtnetlink socket for requests, and for events about interfaces when `onEvent` is given. It keeps the
 * process running only while a request is outstanding. @throws SystemError, Unavailable
 */
export function openRtnetlink(onEvent?: (event: LinkEvent) => void): Rtnetlink & {
  /** Whether to keep the process running for events. */
  keepAlive(on: boolean): void;
} {
  const socket = new RtnetlinkSocket(onEvent ? [RTNLGRP_LINK] : [], (heard) => {
    const event = eventOf(heard);
    if (event) onEvent?.(event);
  });

  async function links(): Promise<LinkInfo[]> {
    const messages = await socket.dump("list interfaces", RTM.getLink, linkDumpOctets());
    return messages.filter(({ type }) => type === RTM.newLink).map(({ body }) => readLink(body));
  }

  const link = async (name: string) => (await links()).find((each) => each.name === name);

  const setLink = (index: number, change: LinkChange) =>
    socket.request(`change interface ${index}`, RTM.setLink, 0, linkChangeOctets(index, change));

  const deleteLink = (index: number) =>
    socket.request(`delete interface ${index}`, RTM.delLink, 0, linkIndexOctets(index));

  async function make(name: string, body: Uint8Array): Promise<number> {
    await socket.request(`make ${name}`, RTM.newLink, CREATE_ONLY, body);
    const made = await link(name);
    if (made === undefined) throw new Error(`${name} was made and is gone again`);
    try {
      // the kernel takes this of an interface that exists, not of one that is being made
      await setLink(made.index, { linkLocal: false });
    } catch (error) {
      await deleteLink(made.index);
      throw error;
    }
    return made.index;
  }

  async function addresses(): Promise<AddressInfo[]> {
    const messages = await socket.dump("list addresses", RTM.getAddress, addressDumpOctets());
    return messages.flatMap(({ body }) => readAddress(body) ?? []);
  }

  return {
    links,
    link,
    addresses,
    setLink,
    addVxlanExternal: (vxlan) => make(vxlan.name, vxlanExternalOctets(vxlan)),
    addVxlanGroup: (vxlan) => make(vxlan.name, vxlanGroupOctets(vxlan)),
    addGroupRoute: (group, to) =>
      socket.request(`route to ${group}`, RTM.newRoute, CREATE_ONLY, groupRouteOctets(group, to)),
    deleteGroupRoute: (group, to) =>
      socket.request(`no route to ${group}`, RTM.delRoute, 0, groupRouteOctets(group, to)),
    deleteLink,
    close: () => socket.close(),
    keepAlive: (on) => socket.keepAlive(on),
  };
}

const RTNLGRP_LINK = 1;
const RTM = {
  newLink: 16,
  delLink: 17,
  getLink: 18,
  setLink: 19,
  getAddress: 22,
  newRoute: 24,
  delRoute: 25,
};
const CREATE_ONLY = 0x400 | 0x200; // NLM_F_CREATE, NLM_F_EXCL
const AF_BRIDGE = 7;

function eventOf(heard: Heard): LinkEvent | undefined {
  if (heard.on === "resync") return heard;
  const { type, body } = heard.message;
  if (body[0] === AF_BRIDGE) return undefined; // a port left a bridge, not the machine
  if (type === RTM.newLink) return { on: "link", link: readLink(body) };
  if (type === RTM.delLink) return { on: "gone", link: readLink(body) };
  return undefined;
}
