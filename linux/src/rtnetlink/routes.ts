import type { IpAddress } from "@nve/protocol-spec";
import { readAddress } from "./address.ts";
import { type LinkInfo, readLink } from "./link.ts";
import {
  type Neighbour,
  neighbourDumpOctets,
  neighbourUseOctets,
  type Route,
  readNeighbour,
  readRoute,
  readRouteInterfaces,
  routeQuestionOctets,
} from "./route.ts";
import { type Heard, NetlinkError, RtnetlinkSocket } from "./socket.ts";

/** Where the kernel of this network namespace sends packets, and what is told when that changes. */
export interface Routing {
  /** As the kernel itself would send: routing policy, tables and all. `undefined`: it cannot. */
  route(to: IpAddress, from?: IpAddress): Promise<Route | undefined>;
  /** All interfaces that packets there may leave by, where there are several equal ways. */
  interfaces(to: IpAddress, from?: IpAddress): Promise<number[]>;
  neighbours(): Promise<Neighbour[]>;
  /** As if a packet were sent to it: the kernel finds out its MAC, or confirms it. */
  use(index: number, neighbour: IpAddress): Promise<void>;
  close(): void;
}

export type RoutingEvent =
  | { on: "link"; link: LinkInfo }
  | { on: "gone"; index: number }
  | { on: "neighbour"; neighbour: Neighbour }
  /** An address came or went. */
  | { on: "address" }
  /** A route, a routing rule or a next hop came, went or was changed: any route may be another now. */
  | { on: "route" }
  /** Events were lost. */
  | { on: "resync" };

/** @throws SystemError, Unavailable */
export function openRouting(onEvent: (event: RoutingEvent) => void): Routing {
  const events = new RtnetlinkSocket(GROUPS, (heard) => {
    const event = eventOf(heard);
    if (event) onEvent(event);
  });
  // A socket of its own: what answers a single question looks like an event.
  let questions: RtnetlinkSocket;
  try {
    questions = new RtnetlinkSocket();
  } catch (error) {
    events.close();
    throw error;
  }

  async function ask(to: IpAddress, from: IpAddress | undefined, all: boolean) {
    const body = routeQuestionOctets(to, from, all);
    try {
      const [answer] = await questions.ask(`route to ${to}`, RTM.getRoute, body);
      return answer?.body;
    } catch (error) {
      if (error instanceof NetlinkError && NOT_THERE.has(error.code)) return undefined;
      throw error;
    }
  }

  async function route(to: IpAddress, from?: IpAddress): Promise<Route | undefined> {
    const body = await ask(to, from, false);
    return body && readRoute(body, to);
  }

  async function interfaces(to: IpAddress, from?: IpAddress): Promise<number[]> {
    const body = await ask(to, from, true);
    return body ? readRouteInterfaces(body) : [];
  }

  async function neighbours(): Promise<Neighbour[]> {
    const dump = (family: 4 | 6) =>
      questions.dump("list neighbours", RTM.getNeighbour, neighbourDumpOctets(family));
    const messages = [...(await dump(4)), ...(await dump(6))];
    return messages.flatMap(({ body }) => readNeighbour(body) ?? []);
  }

  return {
    route,
    interfaces,
    neighbours,
    use: (index, ip) =>
      questions.request(
        `look for ${ip}`,
        RTM.newNeighbour,
        NLM_F_CREATE,
        neighbourUseOctets(index, ip),
      ),
    close: () => {
      events.close();
      questions.close();
    },
  };
}

function eventOf(heard: Heard): RoutingEvent | undefined {
  if (heard.on === "resync") return heard;
  const { type, body } = heard.message;
  switch (type) {
    case RTM.newLink:
    case RTM.delLink: {
      if (body[0] === AF_BRIDGE) return undefined;
      const link = readLink(body);
      return type === RTM.newLink ? { on: "link", link } : { on: "gone", index: link.index };
    }
    case RTM.newNeighbour:
    case RTM.delNeighbour: {
      const neighbour = readNeighbour(body);
      if (neighbour === undefined) return undefined;
      const { mac: _, ...gone } = neighbour;
      return { on: "neighbour", neighbour: type === RTM.newNeighbour ? neighbour : gone };
    }
    case RTM.newAddress:
    case RTM.delAddress:
      return readAddress(body) && { on: "address" };
    default:
      return ROUTES.has(type) ? { on: "route" } : undefined;
  }
}

/** RTNLGRP_*: links, neighbours; addresses, routes and rules of IPv4 and of IPv6; next hops. */
const GROUPS = [1, 3, 5, 7, 8, 9, 11, 19, 32];
const RTM = {
  newLink: 16,
  delLink: 17,
  newAddress: 20,
  delAddress: 21,
  getRoute: 26,
  newNeighbour: 28,
  delNeighbour: 29,
  getNeighbour: 30,
};
/** RTM_NEWROUTE, RTM_DELROUTE, RTM_NEWRULE, RTM_DELRULE, RTM_NEWNEXTHOP, RTM_DELNEXTHOP */
const ROUTES = new Set([24, 25, 32, 33, 104, 105]);
const NLM_F_CREATE = 0x400;
const AF_BRIDGE = 7;
/** EINVAL: the source is no address of ours. */
const NOT_THERE = new Set([
  "ENETUNREACH",
  "EHOSTUNREACH",
  "EINVAL",
  "EACCES",
  "ENONET",
  "ENODEV",
  "EADDRNOTAVAIL",
]);
