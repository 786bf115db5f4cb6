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

  async function addVxlanExternal(vxlan: VxlanExternal): Promise<number> {
    await socket.request(
      `make ${vxlan.name}`,
      RTM.newLink,
      CREATE_ONLY,
      vxlanExternalOctets(vxlan),
    );
    const made = await link(vxlan.name);
    if (made === undefined) throw new Error(`${vxlan.name} was made and is gone again`);
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
    addVxlanExternal,
    deleteLink,
    close: () => socket.close(),
    keepAlive: (on) => socket.keepAlive(on),
  };
}

const RTNLGRP_LINK = 1;
const RTM = { newLink: 16, delLink: 17, getLink: 18, setLink: 19, getAddress: 22 };
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
