import { type Mac, macFrom } from "@nve/protocol-spec";
import { hasCapability } from "./capabilities.ts";
import { SystemError } from "./errors.ts";
import { followingLink, type Port } from "./following-link.ts";
import type { Link, LinkOptions } from "./link.ts";
import { type LinkMonitor, linkMonitor } from "./link-monitor.ts";
import { loadPcap, PcapSession } from "./pcap-session.ts";
import { isUp, type LinkInfo } from "./rtnetlink/link.ts";

/**
 * A Link on npm `pcap`: the second driver, for comparison. How it differs from the packet link:
 *
 * - Its sessions are looked at every 10 ms, so that a frame comes in 5 ms late on average. Left to itself `pcap`
 *   hears nothing after the interface was down once, and keeps the process from ending.
 * - `pcap` cannot close a session that is idle. `close` ends delivery at once and lets the process end, but the
 *   session (a descriptor and 2.25 MiB of the kernel's memory) is parked, and used by the next link on the same
 *   interface with the same EtherTypes. What was open on an interface that is deleted is lost until the process
 *   ends.
 * - The interface is promiscuous until the process ends: `pcap` cannot join single groups.
 * - Frames from the interface's own address are dropped here. What others on this machine send out of the
 *   interface (VMs behind a bridge, say) comes in, unlike with the packet link.
 * - A session can only be opened while the interface is up.
 *
 * @throws SystemError EPERM without CAP_NET_RAW; Unavailable: `pcap` is not installed or was not built
 */
export function openPcapLink(options: LinkOptions, monitor: LinkMonitor = linkMonitor()): Link {
  loadPcap();
  if (!hasCapability("CAP_NET_RAW")) throw new SystemError("EPERM", "open a capture");
  const wanted = new Set(options.etherTypes);
  const ownMac = (): Mac | undefined => monitor.find(options.interface)?.mac;

  function open(link: LinkInfo, receive: (frame: Uint8Array) => void): Port | undefined {
    if (!isUp(link)) return undefined;
    const key = `${link.index} ${filterOf(wanted)}`;
    const session = unpark(key) ?? tryToOpen(link, filterOf(wanted));
    return (
      session &&
      portOf(session, key, (frame) => {
        const fromOutside = frame.length >= 14 && macFrom(frame.subarray(6, 12)) !== ownMac();
        if (fromOutside && wanted.has(etherTypeOf(frame))) receive(frame);
      })
    );
  }
  return followingLink(options.interface, open, monitor);
}

function portOf(session: PcapSession, key: string, deliver: (frame: Uint8Array) => void): Port {
  let open = true;
  const timer = setInterval(() => session.read((frame) => open && deliver(frame)), READ_MS);
  timer.unref();
  return {
    send: (frame) => session.send(frame),
    lost: () => session.lost(),
    close: () => {
      open = false;
      clearInterval(timer);
      parked.set(key, [...(parked.get(key) ?? []), session]);
    },
  };
}

/** Sessions that nobody has open, by interface index and filter. Indexes are not used again by the kernel. */
const parked = new Map<string, PcapSession[]>();

function unpark(key: string): PcapSession | undefined {
  const session = parked.get(key)?.pop();
  session?.read(() => {}); // what came in meanwhile
  session?.lost();
  return session;
}

/** `undefined`: the interface has just gone down or away; the monitor is about to say so. */
function tryToOpen(link: LinkInfo, filter: string): PcapSession | undefined {
  try {
    return new PcapSession(link.name, filter);
  } catch (error) {
    if (error instanceof Error && /not up|no such device|doesn't exist/i.test(error.message))
      return undefined;
    throw error;
  }
}

/** No `inbound`: libpcap does not know the direction of the first frames and drops them. */
const filterOf = (etherTypes: ReadonlySet<number>): string =>
  [...etherTypes].map((etherType) => `ether proto ${etherType}`).join(" or ") || "less 1";

/** Beyond one tag. */
const etherTypeOf = (frame: Uint8Array): number => {
  const outer = uint16(frame, 12);
  return outer === 0x8100 || outer === 0x88a8 ? uint16(frame, 16) : outer;
};
const uint16 = (octets: Uint8Array, at: number): number =>
  ((octets[at] ?? 0) << 8) | (octets[at + 1] ?? 0);

const READ_MS = 10;
