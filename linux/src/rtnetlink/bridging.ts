import { concat } from "@nve/protocol-spec";
import {
  type BridgePort,
  type BridgePortFlags,
  bridgeOctets,
  bridgePortDumpOctets,
  countsDumpOctets,
  type FdbEntry,
  fdbDumpOctets,
  fdbOctets,
  filtersVlans,
  type LinkCounts,
  masterOctets,
  portFlagsOctets,
  portVlanOctets,
  readBridgePort,
  readFdbEntry,
  readLinkCounts,
  type VxlanPort,
  vlanOctets,
  vxlanPortOctets,
} from "./bridge.ts";
import { attribute, cString } from "./codec.ts";
import {
  clsactOctets,
  type Filter,
  type FilterInfo,
  filterDumpOctets,
  filterKeyOctets,
  filterOctets,
  priorityOctets,
  readFilter,
} from "./filter.ts";
import {
  type LinkChange,
  type LinkInfo,
  linkChangeOctets,
  linkDumpOctets,
  linkIndexOctets,
  readLink,
} from "./link.ts";
import { RtnetlinkSocket } from "./socket.ts";

/**
 * Bridges, their ports and what filters frames there. Requests are done in the order in which they are made, also
 * those that nobody awaits. Every promise may be rejected with a NetlinkError.
 */
export interface Bridging {
  links(): Promise<LinkInfo[]>;
  /** These three: made down, without a link-local address. @returns its index. Code EEXIST: the name is taken. */
  addBridge(name: string): Promise<number>;
  addVlan(name: string, lower: number, vid: number): Promise<number>;
  addVxlan(vxlan: VxlanPort): Promise<number>;
  /** Whether it does what it was asked for: not every kernel can. */
  filtersVlans(bridge: number): Promise<boolean>;
  setLink(index: number, change: LinkChange): Promise<void>;
  deleteLink(index: number): Promise<void>;
  /** @param bridge 0: of none any more */
  setMaster(index: number, bridge: number): Promise<void>;
  setFlags(index: number, flags: BridgePortFlags): Promise<void>;
  addVid(index: number, vid: number): Promise<void>;
  ports(): Promise<BridgePort[]>;
  counts(): Promise<LinkCounts[]>;
  /** In place of what is there of the same MAC (and VLAN), without a gap. */
  putFdb(entry: FdbEntry): Promise<void>;
  /** Beside others of the same MAC: one more VTEP that floods go to. */
  appendFdb(entry: FdbEntry): Promise<void>;
  /** Code ENOENT: it is not there. */
  deleteFdb(entry: FdbEntry): Promise<void>;
  fdb(): Promise<FdbEntry[]>;
  addClsact(index: number): Promise<void>;
  /** In place of one of the same priority and handle. */
  putFilter(index: number, filter: Filter): Promise<void>;
  deleteFilter(index: number, filter: Filter): Promise<void>;
  /** All of a priority. Code ENOENT: there is none. */
  deleteFilters(index: number, priority: number): Promise<void>;
  filters(index: number): Promise<FilterInfo[]>;
  close(): void;
}

/** @throws SystemError, Unavailable */
export function openBridging(): Bridging {
  const socket = new RtnetlinkSocket();
  const request = (doing: string, type: number, flags: number, body: Uint8Array): Promise<void> =>
    socket.request(doing, type, flags, body);

  async function make(name: string, body: Uint8Array): Promise<number> {
    await request(`make ${name}`, RTM.newLink, CREATE_ONLY, body);
    const question = concat(linkIndexOctets(0), attribute(IFLA_IFNAME, cString(name)));
    const [made] = await socket.ask(`find ${name}`, RTM.getLink, question);
    if (made === undefined) throw new Error(`${name} was made and is gone again`);
    const { index } = readLink(made.body);
    await setLink(index, { linkLocal: false });
    return index;
  }

  const setLink = (index: number, change: LinkChange): Promise<void> =>
    request(`change interface ${index}`, RTM.setLink, 0, linkChangeOctets(index, change));

  const fdb = (doing: string, type: number, flags: number, entry: FdbEntry): Promise<void> =>
    request(`${doing} ${entry.mac} at interface ${entry.index}`, type, flags, fdbOctets(entry));

  const dump = async <T>(
    what: string,
    type: number,
    body: Uint8Array,
    read: (body: Uint8Array) => T | undefined,
  ): Promise<T[]> => {
    const messages = await socket.dump(`list ${what}`, type, body);
    return messages.flatMap((message) => read(message.body) ?? []);
  };

  return {
    links: () => dump("interfaces", RTM.getLink, linkDumpOctets(), readLink),
    addBridge: (name) => make(name, bridgeOctets(name)),
    addVlan: (name, lower, vid) => make(name, vlanOctets(name, lower, vid)),
    addVxlan: (vxlan) => make(vxlan.name, vxlanPortOctets(vxlan)),
    filtersVlans: async (bridge) => {
      const [link] = await socket.ask(`find ${bridge}`, RTM.getLink, linkIndexOctets(bridge));
      return link !== undefined && filtersVlans(link.body);
    },
    setLink,
    deleteLink: (index) =>
      request(`delete interface ${index}`, RTM.delLink, 0, linkIndexOctets(index)),
    setMaster: (index, bridge) =>
      request(`bridge of interface ${index}`, RTM.setLink, 0, masterOctets(index, bridge)),
    setFlags: (index, flags) =>
      request(`flags of bridge port ${index}`, RTM.setLink, 0, portFlagsOctets(index, flags)),
    addVid: (index, vid) =>
      request(`VLAN ${vid} at ${index}`, RTM.setLink, 0, portVlanOctets(index, vid)),
    ports: () => dump("bridge ports", RTM.getLink, bridgePortDumpOctets(), readBridgePort),
    counts: () => dump("statistics", RTM.getLink, countsDumpOctets(), readLinkCounts),
    putFdb: (entry) => fdb("set", RTM.newNeighbour, CREATE | REPLACE, entry),
    appendFdb: (entry) => fdb("add", RTM.newNeighbour, CREATE | APPEND, entry),
    deleteFdb: (entry) => fdb("remove", RTM.delNeighbour, 0, entry),
    fdb: () => dump("forwarding tables", RTM.getNeighbour, fdbDumpOctets(), readFdbEntry),
    addClsact: (index) =>
      request(`clsact at ${index}`, RTM.newQdisc, CREATE_ONLY, clsactOctets(index)),
    putFilter: (index, filter) =>
      request(`filter at ${index}`, RTM.newFilter, CREATE, filterOctets(index, filter)),
    deleteFilter: (index, filter) =>
      request(`filter at ${index}`, RTM.delFilter, 0, filterKeyOctets(index, filter)),
    deleteFilters: (index, priority) =>
      request(`filters at ${index}`, RTM.delFilter, 0, priorityOctets(index, priority)),
    filters: (index) => dump("filters", RTM.getFilter, filterDumpOctets(index), readFilter),
    close: () => socket.close(),
  };
}

const IFLA_IFNAME = 3;
const REPLACE = 0x100;
const CREATE = 0x400;
const APPEND = 0x800;
const CREATE_ONLY = CREATE | 0x200; // NLM_F_EXCL
const RTM = {
  newLink: 16,
  delLink: 17,
  getLink: 18,
  setLink: 19,
  newNeighbour: 28,
  delNeighbour: 29,
  getNeighbour: 30,
  newQdisc: 36,
  newFilter: 44,
  delFilter: 45,
  getFilter: 46,
};
