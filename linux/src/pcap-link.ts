import type { Mac } from "@nve/protocol-spec";
import { hasCapability } from "./capabilities.ts";
import { sorted } from "./control-frames.ts";
import { SystemError } from "./errors.ts";
import { followingLink, type Port, sumOf } from "./following-link.ts";
import type { Link, LinkOptions } from "./link.ts";
import { type LinkMonitor, linkMonitor } from "./link-monitor.ts";
import { loadPcap, PcapSession } from "./pcap-session.ts";
import { isUp, type LinkInfo } from "./rtnetlink/link.ts";
import { type Sieve, sieve } from "./sieve.ts";

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
 * - Address, tag, length and rate of control frames are looked at here and not in the kernel: a flood costs the time
 *   that it takes to read it, one of LLDP starves ECP, and what is beyond the intake limit does not wait.
 *
 * @throws SystemError EPERM without CAP_NET_RAW; Unavailable: `pcap` is not installed or was not built
 */
export function openPcapLink(options: LinkOptions, monitor: LinkMonitor = linkMonitor()): Link {
  loadPcap();
  if (!hasCapability("CAP_NET_RAW")) throw new SystemError("EPERM", "open a capture");
  const { plain, control } = sorted(options.etherTypes);
  const filter = filterOf([...plain, ...control.map(({ etherType }) => etherType)]);
  const ownMac = (): Mac | undefined => monitor.find(options.interface)?.mac;

  function open(link: LinkInfo, receive: (frame: Uint8Array) => void): Port | undefined {
    if (!isUp(link)) return undefined;
    const key = `${link.index} ${filter}`;
    const session = unpark(key) ?? tryToOpen(link, filter);
    return session && portOf(session, key, sieve(plain, control, ownMac), receive);
  }
  return followingLink(options.interface, open, monitor);
}

function portOf(
  session: PcapSession,
  key: string,
  { pass, losses }: Sieve,
  deliver: (frame: Uint8Array) => void,
): Port {
  let open = true;
  const read = (): void => session.read((frame) => open && pass(frame) && deliver(frame));
  const timer = setInterval(read, READ_MS);
  timer.unref();
  return {
    send: (frame) => session.send(frame),
    lost: () => sumOf({ in: session.lost() }, losses()),
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
const filterOf = (etherTypes: readonly number[]): string =>
  etherTypes.map((etherType) => `ether proto ${etherType}`).join(" or ") || "less 1";

const READ_MS = 10;
