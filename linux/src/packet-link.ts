import { concat, GroupAddress, type Mac, macOctets } from "@nve/protocol-spec";
import { hasCapability } from "./capabilities.ts";
import { type ControlFrames, lossesOf, sorted } from "./control-frames.ts";
import { SystemError } from "./errors.ts";
import { followingLink, type Port, sumOf } from "./following-link.ts";
import type { Link, LinkOptions, Losses } from "./link.ts";
import { type LinkMonitor, linkMonitor } from "./link-monitor.ts";
import { NativeSocket, type Setting, type SocketOptions } from "./native.ts";
import { controlFilter, etherTypeFilter, strayFilter } from "./packet-filter.ts";
import { hostUint } from "./rtnetlink/codec.ts";
import type { LinkInfo } from "./rtnetlink/link.ts";

/**
 * A Link on packet sockets (packet(7)): one for each control protocol, so that a flood of one does not starve the
 * other, and one for all other EtherTypes. Until the monitor is ready the interface counts as absent: await
 * `monitor.ready` first to know its state at once. Frames longer than 2048 octets are counted as dropped.
 *
 * @throws SystemError EPERM without CAP_NET_RAW, also while the interface is absent; Unavailable: no addon
 */
export function openPacketLink(options: LinkOptions, monitor: LinkMonitor = linkMonitor()): Link {
  if (!hasCapability("CAP_NET_RAW")) throw new SystemError("EPERM", "open a packet socket");
  const open = (link: LinkInfo, receive: (frame: Uint8Array) => void): Port | undefined => {
    try {
      return openPort(link.index, options.etherTypes, receive);
    } catch (error) {
      if (error instanceof SystemError && GONE.has(error.code)) return undefined;
      throw error;
    }
  };
  return followingLink(options.interface, open, monitor);
}

function openPort(
  index: number,
  etherTypes: LinkOptions["etherTypes"],
  receive: (frame: Uint8Array) => void,
): Port {
  let open = true;
  const sockets: NativeSocket[] = [];
  const close = (): void => {
    open = false;
    for (const socket of sockets) socket.close();
  };
  const listen = (options: Partial<SocketOptions>, buffer: number): NativeSocket => {
    const common = { ...PACKET, settings: settings(index, buffer), address: linkAddress(index) };
    const socket = new NativeSocket(
      { ...common, ...options },
      // an error is that the interface went down or away, and the monitor tells that too
      (frames) => {
        for (const frame of frames) if (open) receive(frame);
      },
    );
    sockets.push(socket);
    return socket;
  };

  try {
    const { plain, control } = sorted(etherTypes);
    const counts: (() => Losses)[] = control.map((frames) => {
      const { intake, buffer, protocol } = frames;
      const socket = listen({ filter: controlFilter(frames), intake }, buffer);
      return () => lossesOf(protocol, socket.statistics().lost);
    });
    if (plain.length > 0 || control.length === 0) {
      const socket = listen({ filter: etherTypeFilter(plain) }, RECEIVE_BUFFER);
      counts.push(() => ({ in: socket.statistics().lost }));
    }
    if (control.length > 0) counts.push(strayCounter(index, control, sockets));
    const [sender] = sockets;
    return {
      send: (frame) => sender?.send(frame) === undefined,
      lost: () => counts.map((count) => count()).reduce(sumOf),
      close,
    };
  } catch (error) {
    close();
    throw error;
  }
}

/** Frames that nobody reads: the kernel keeps two or three of them, and counts them all. */
function strayCounter(
  index: number,
  control: readonly ControlFrames[],
  sockets: NativeSocket[],
): () => Losses {
  const socket = new NativeSocket({
    ...PACKET,
    slotOctets: 1,
    settings: settings(index, 0),
    filter: strayFilter(control),
    address: linkAddress(index),
  });
  sockets.push(socket);
  return () => ({ in: 0, stray: socket.statistics().passed });
}

/** Bound to no protocol, so that nothing comes in before the filter and the interface are set. */
const PACKET: Omit<SocketOptions, "settings"> = {
  domain: 17,
  type: 3,
  protocol: 0,
  slotOctets: 2048,
};
const GONE = new Set(["ENODEV", "ENXIO"]);
const SOL_SOCKET = 1;
const SOL_PACKET = 263;
const on = hostUint(4, 1);

/** Holds a burst of 1,000 frames of 1518 octets, with what the kernel adds to each. */
const RECEIVE_BUFFER = 2 << 20;

/** `buffer` octets; 0 is as few as the kernel allows. */
const settings = (index: number, buffer: number): Setting[] => [
  [SOL_SOCKET, 33, hostUint(4, buffer)], // SO_RCVBUFFORCE
  [SOL_PACKET, 8, on], // PACKET_AUXDATA: the tag that the kernel took out
  [SOL_PACKET, 23, on], // PACKET_IGNORE_OUTGOING
  ...Object.values(GroupAddress).map((group): Setting => [SOL_PACKET, 1, membership(index, group)]), // PACKET_ADD_MEMBERSHIP
];

/** packet_mreq: index 4, type 2 (0: multicast), address length 2, address 8. */
const membership = (index: number, group: Mac): Uint8Array =>
  concat(hostUint(4, index), hostUint(2, 0), hostUint(2, 6), macOctets(group), new Uint8Array(2));

/**
 * sockaddr_ll: family 2, protocol 2 in network order, index 4, the rest 12. ETH_P_ALL because a socket bound to
 * an EtherType hears nothing of what a tc program or a bridge takes from the interface.
 */
const linkAddress = (index: number): Uint8Array =>
  concat(hostUint(2, 17), Uint8Array.of(0, 3), hostUint(4, index), new Uint8Array(12));
