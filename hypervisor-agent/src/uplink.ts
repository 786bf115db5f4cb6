import {
  announcement,
  type Clock,
  drive,
  type EdgePort,
  type EdgePortOptions,
  type Guard,
  type Link,
} from "@nve/linux";
import type { Log } from "@nve/program/log";
import {
  besideVsi,
  type EvbAgreed,
  type EvbPolicy,
  type ExtensionKind,
  type HypervisorId,
  type IpAddress,
  mtusOf,
  namesOf,
  type OptionalTlv,
  printable,
  readSet,
  readsOurs,
  reasonFor,
  sameOctets,
  type Uuid,
  uuidOfVsi,
  type Vdpdu,
  type VsiSet,
} from "@nve/protocol-spec";
import { emptyBook, stepBook } from "./stations/book.ts";
import { hashText } from "./stations/set.ts";
import type { Book, BookAction, BookEvent, BookSettings, Heard } from "./stations/turn.ts";
import { openUplinkGuard, type UplinkAuth } from "./uplink-auth.ts";

/** One NIC towards a ToR: LLDP with EVB, ECP, and the VSIs of this host in VDP, wired. */
export interface Uplink {
  readonly name: string;
  readonly link: Link;
  readonly port: EdgePort;
  readonly book: Book;
  /** There where it has a key. */
  readonly guard?: Guard;
  feed(event: BookEvent): void;
  /** LLDP shutdown; the link is let go. */
  close(): void;
}

export type UplinkOptions = {
  hypervisor: HypervisorId;
  version: string;
  managementAddress?: IpAddress;
  link: Link;
  clock: Clock;
  policy: EvbPolicy;
  settings: BookSettings;
  auth?: UplinkAuth;
  /** Anything in 0 … 65535, best random (spec/ecp.md 4). */
  firstSequence: number;
  openEdgePort(options: EdgePortOptions): EdgePort;
  /** What is not the uplink's own business: the virtual switch, the operator's calls. */
  perform(action: Exclude<BookAction, { do: "send" }>): void;
  log: Log;
};

/** TLVs of our own that we send where they are read (protocol-spec, "Our own TLVs"). */
const SENT: readonly ExtensionKind[] = ["addresses", "names", "labels", "prefixes", "sets"];

export function openUplink(options: UplinkOptions): Uplink {
  const { link, clock, policy, settings, log, openEdgePort, perform } = options;
  const { r, rte, rwd, rka } = policy;
  const { guard, tlvs } = openUplinkGuard(options.auth, link, clock, log);
  let reads: ReadonlySet<ExtensionKind> = new Set();
  let told = "";

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
    lldp: announcementOf(options, tlvs),
    guard,
    onVdpdu: hear,
    onEvb: (evb) => {
      log.info({ uplink: link.name, ...evb }, evb.peer ? "EVB agreed" : "EVB peer gone");
      peerIs(evb);
    },
    onPeerAnew: () => {
      log.info({ uplink: link.name }, "the NVE was started anew: all is said again");
      feed({ on: "peer-anew" });
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
    if (evb.peer) {
      // Of the NVE alone: on an access network other stations are neighbours, too.
      reads = readsOurs(port.peers.flatMap(({ lldpdu }) => lldpdu?.tlvs ?? []));
      tellMissing(SENT.filter((kind) => !reads.has(kind)).join(", "));
    }
    feed({ on: "peer", evb, reads });
  }

  /** Once, until it is another NVE. */
  function tellMissing(missing: string): void {
    if (missing === told) return;
    told = missing;
    const what = "the NVE does not read all of our TLVs: these are not sent";
    if (missing !== "") log.info({ uplink: link.name, without: missing }, what);
  }

  function hear(vdpdu: Vdpdu): void {
    if (!sameOctets(vdpdu.manager, settings.vdp.manager)) return; // spec/vdp.md 3: part of the key
    let heard: Heard[] = [];
    const tell = (): void => {
      if (heard.length > 0) feed({ on: "heard", all: heard });
      heard = [];
    };
    for (const tlv of vdpdu.tlvs) {
      const set = tlv.is === "organizational" ? readSet(tlv) : undefined;
      if (set !== undefined) {
        tell(); // what stands in front of it comes before it
        hearOfSet(set);
      }
      if (tlv.is !== "association") continue;
      const { type, association } = tlv;
      const { vsiId, status } = association;
      const beside = besideVsi(vsiId, vdpdu.tlvs);
      const said = reasonFor(vsiId, status.code, beside);
      const reason = said === undefined ? "" : printable(said);
      const told = { names: namesOf(vsiId, beside), mtus: mtusOf(vsiId, beside) };
      heard.push({
        on: "association",
        type,
        association,
        ...told,
        ...(reason !== "" && { reason }),
      });
    }
    tell();
  }

  /** What the NVE says of a set is that it does not have it. */
  function hearOfSet(set: VsiSet): void {
    const vnic = set.part === 0 ? uuidOfVsi(set.vsiId) : undefined;
    if (vnic !== undefined) feed({ on: "set-asked", vnic, hash: hashText(set.hash) });
  }

  function send(vdpdu: Vdpdu, vnics: readonly Uuid[]): void {
    port.send(vdpdu, () => feed({ on: "undelivered", vnics }));
  }

  feed({ on: "link", state: link.state });
  return {
    name: link.name,
    link,
    port,
    ...(guard && { guard }),
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

function announcementOf(
  { hypervisor, version, managementAddress, link }: UplinkOptions,
  more: readonly OptionalTlv[],
): EdgePortOptions["lldp"] {
  const { tlvs, ...ids } = announcement({
    system: hypervisor,
    description: `split-nve hypervisor-agent ${version}`,
    capability: "station",
    interface: link.name,
    port: `uplink ${link.name}`,
    managementAddress,
    reads: ["reasons", "mtus"],
  });
  return { ...ids, tlvs: [...tlvs, ...more] };
}
