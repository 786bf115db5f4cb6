import { concat, Mac, macOctets } from "@nve/protocol-spec";
import { hasCapability } from "./capabilities.ts";
import { SystemError } from "./errors.ts";
import { followingLink, type Port } from "./following-link.ts";
import type { Link, LinkOptions } from "./link.ts";
import { type LinkMonitor, linkMonitor } from "./link-monitor.ts";
import { NativeSocket, type Setting, type SocketOptions } from "./native.ts";
import { hostUint } from "./rtnetlink/codec.ts";
import type { LinkInfo } from "./rtnetlink/link.ts";

/**
 * A Link on a packet socket (packet(7)). Until the monitor is ready the interface counts as absent: await
 * `monitor.ready` first to know its state at once. Frames longer than 2048 octets are counted as dropped.
 *
 * @throws SystemError EPERM without CAP_NET_RAW, also while the interface is absent; Unavailable: no addon
 */
export function openPacketLink(options: LinkOptions, monitor: LinkMonitor = linkMonitor()): Link {
  if (!hasCapability("CAP_NET_RAW")) throw new SystemError("EPERM", "open a packet socket");
  const filter = etherTypeFilter(options.etherTypes);
  const open = (link: LinkInfo, receive: (frame: Uint8Array) => void): Port | undefined => {
    try {
      return openPort(link.index, filter, receive);
    } catch (error) {
      if (error instanceof SystemError && GONE.has(error.code)) return undefined;
      throw error;
    }
  };
  return followingLink(options.interface, open, monitor);
}

function openPort(index: number, filter: Uint8Array, receive: (frame: Uint8Array) => void): Port {
  let open = true;
  const socket = new NativeSocket(
    { ...PACKET, settings: settings(index), filter, address: linkAddress(index) },
    // an error is that the interface went down or away, and the monitor tells that too
    (frames) => {
      for (const frame of frames) if (open) receive(frame);
    },
  );
  return {
    send: (frame) => socket.send(frame) === undefined,
    lost: () => socket.lost(),
    close: () => {
      open = false;
      socket.close();
    },
  };
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

/** 802.1Q Table 8-1: nearest customer bridge, nearest non-TPMR bridge, nearest bridge. */
const GROUPS = ["01:80:c2:00:00:00", "01:80:c2:00:00:03", "01:80:c2:00:00:0e"];

const settings = (index: number): Setting[] => [
  [SOL_SOCKET, 33, hostUint(4, RECEIVE_BUFFER)], // SO_RCVBUFFORCE
  [SOL_PACKET, 8, on], // PACKET_AUXDATA: the tag that the kernel took out
  [SOL_PACKET, 23, on], // PACKET_IGNORE_OUTGOING
  ...GROUPS.map((group): Setting => [SOL_PACKET, 1, membership(index, group)]), // PACKET_ADD_MEMBERSHIP
];

/** packet_mreq: index 4, type 2 (0: multicast), address length 2, address 8. */
const membership = (index: number, group: string): Uint8Array =>
  concat(
    hostUint(4, index),
    hostUint(2, 0),
    hostUint(2, 6),
    macOctets(Mac(group)),
    new Uint8Array(2),
  );

/**
 * sockaddr_ll: family 2, protocol 2 in network order, index 4, the rest 12. ETH_P_ALL because a socket bound to
 * an EtherType hears nothing of what a tc program or a bridge takes from the interface.
 */
const linkAddress = (index: number): Uint8Array =>
  concat(hostUint(2, 17), Uint8Array.of(0, 3), hostUint(4, index), new Uint8Array(12));

/**
 * Classic BPF: passes frames of these EtherTypes. When it runs the kernel has taken the outer tag out, so that
 * octets 12-13 are the EtherType of tagged frames too.
 */
export function etherTypeFilter(etherTypes: readonly number[]): Uint8Array {
  return concat(
    instruction(0x28, 0, 0, 12), // ldh [12]
    ...etherTypes.map((etherType) =>
      concat(
        instruction(0x15, 0, 1, etherType), // jeq etherType, next, one further
        instruction(0x06, 0, 0, 0x40000), // ret: whole frame
      ),
    ),
    instruction(0x06, 0, 0, 0), // ret: nothing
  );
}

/** sock_filter: code 2, jump if true 1, jump if false 1, operand 4. */
const instruction = (code: number, ifTrue: number, ifFalse: number, operand: number): Uint8Array =>
  concat(hostUint(2, code), Uint8Array.of(ifTrue, ifFalse), hostUint(4, operand));
