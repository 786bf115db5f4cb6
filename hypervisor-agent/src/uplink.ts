import { type Clock, drive, type EdgePort, type EdgePortOptions, type Link } from "@nve/linux";
import type { Log } from "@nve/program/log";
import {
  Capability,
  type EvbAgreed,
  type EvbPolicy,
  findExtension,
  type HypervisorId,
  type OptionalTlv,
  sameOctets,
  type Uuid,
  type Vdpdu,
} from "@nve/protocol-spec";
import { emptyBook, stepBook } from "./stations.ts";
import type { Book, BookAction, BookEvent, BookSettings } from "./turn.ts";

/** One NIC towards a ToR: LLDP with EVB, ECP, and the VSIs of this host in VDP, wired. */
export interface Uplink {
  readonly name: string;
  readonly link: Link;
  readonly port: EdgePort;
  readonly book: Book;
  feed(event: BookEvent): void;
  /** LLDP shutdown; the link is let go. */
  close(): void;
}

export type UplinkOptions = {
  hypervisor: HypervisorId;
  version: string;
  link: Link;
  clock: Clock;
  policy: EvbPolicy;
  settings: BookSettings;
  /** Anything in 0 … 65535, best random (spec/ecp.md 4). */
  firstSequence: number;
  openEdgePort(options: EdgePortOptions): EdgePort;
  /** What is not the uplink's own business: the virtual switch, the operator's calls. */
  perform(action: Exclude<BookAction, { do: "send" }>): void;
  log: Log;
};

export function openUplink(options: UplinkOptions): Uplink {
  const { link, clock, policy, settings, log, openEdgePort, perform } = options;
  const { r, rte, rwd, rka } = policy;
  let readsAddresses = false;
  let toldNoAddresses = false;

  const feed = drive<Book, BookEvent, BookAction>(
    emptyBook(link.state, { peer: false, groupId: false, r, rte, rwd, rka }),
    (book, event, now) => stepBook(book, event, now, settings),
    clock,
    (action) => {
      if (action.do === "send") send(action.vdpdu, action.vnics);
      else perform(action);
    },
  );

  const port = openEdgePort({
    link,
    clock,
    role: "station",
    policy,
    firstSequence: options.firstSequence,
    lldp: announcement(options),
    onVdpdu: hear,
    onEvb: (evb) => {
      log.info({ uplink: link.name, ...evb }, evb.peer ? "EVB agreed" : "EVB peer gone");
      peerIs(evb);
    },
    onNeighbour: (what, { source }) => {
      log.info({ uplink: link.name, mac: source }, `LLDP neighbour ${what}`);
      peerIs(port.evb);
    },
    onState: (state) => {
      log.info({ uplink: link.name, state }, "uplink");
      feed({ on: "link", state });
    },
  });

  /** What was announced stays true while nobody is there: it is said again before it is wrong. */
  function peerIs(evb: EvbAgreed): void {
    const { neighbours } = port;
    if (evb.peer) {
      readsAddresses = neighbours.some(({ lldpdu }) => findExtension(lldpdu.tlvs)?.addressTlv);
      if (!readsAddresses && !toldNoAddresses) {
        toldNoAddresses = true;
        log.info({ uplink: link.name }, "the NVE reads no IP addresses: none are sent");
      }
    }
    feed({ on: "peer", evb, readsAddresses });
  }

  function hear(vdpdu: Vdpdu): void {
    if (!sameOctets(vdpdu.manager, settings.vdp.manager)) return; // spec/vdp.md 3: part of the key
    for (const tlv of vdpdu.tlvs) {
      if (tlv.is !== "association") continue;
      feed({ on: "association", type: tlv.type, association: tlv.association });
    }
  }

  function send(vdpdu: Vdpdu, vnics: readonly Uuid[]): void {
    port.send(vdpdu, () => feed({ on: "undelivered", vnics }));
  }

  feed({ on: "link", state: link.state });
  return {
    name: link.name,
    link,
    port,
    get book() {
      return feed.state();
    },
    feed,
    close: () => {
      feed.stop();
      port.close();
    },
  };
}

function announcement({ hypervisor, version, link }: UplinkOptions): EdgePortOptions["lldp"] {
  const text = new TextEncoder();
  const tlvs: OptionalTlv[] = [
    { is: "system-name", text: hypervisor },
    { is: "system-description", text: `split-nve hypervisor-agent ${version}` },
    {
      is: "system-capabilities",
      capabilities: Capability.station,
      enabled: Capability.station,
    },
  ];
  return {
    chassisId: { subtype: 7, octets: text.encode(hypervisor) },
    portId: { subtype: 5, octets: text.encode(link.name) },
    tlvs,
  };
}
