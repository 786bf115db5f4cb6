import { hostUint, type LinkInfo, NativeSocket, type Setting } from "@nve/linux";

/** Whole frames in and out of one interface, tags in place; never our own. */
export type FramePort = {
  readonly index: number;
  /** `false`: the kernel did not take it. */
  send(frame: Uint8Array): boolean;
  close(): void;
};

/** @throws SystemError when the kernel refuses */
export type OpenFramePort = (
  link: Pick<LinkInfo, "index" | "name">,
  receive: (frame: Uint8Array) => void,
) => FramePort;

const PACKET = 17;
const RAW = 3;
const SOL_SOCKET = 1;
const SOL_PACKET = 263;
/** Super-packets of a neighbour in the same machine are as long. */
const LONGEST = 65536 + 64;
const RECEIVE_BUFFER = 16 << 20;

/** A packet socket that takes all frames, to any address (packet(7)). */
export const openFramePort: OpenFramePort = ({ index }, receive) => {
  let open = true;
  const socket = new NativeSocket(
    {
      domain: PACKET,
      type: RAW,
      protocol: 0,
      slotOctets: LONGEST,
      settings: settings(index),
      address: linkAddress(index),
    },
    (frames) => {
      for (const frame of frames) if (open) receive(frame);
    },
  );
  socket.keepAlive(false);
  return {
    index,
    send: (frame) => socket.send(frame) === undefined,
    close: () => {
      open = false;
      socket.close();
    },
  };
};

const on = hostUint(4, 1);

const settings = (index: number): Setting[] => [
  [SOL_SOCKET, 33, hostUint(4, RECEIVE_BUFFER)], // SO_RCVBUFFORCE
  [SOL_PACKET, 8, on], // PACKET_AUXDATA: the tag that the kernel took out
  [SOL_PACKET, 23, on], // PACKET_IGNORE_OUTGOING
  [SOL_PACKET, 1, Uint8Array.of(...hostUint(4, index), ...hostUint(2, 1), ...new Uint8Array(10))], // promiscuous
];

/** sockaddr_ll: family, protocol ETH_P_ALL in network order, index, the rest. */
const linkAddress = (index: number): Uint8Array =>
  Uint8Array.of(...hostUint(2, PACKET), 0, 3, ...hostUint(4, index), ...new Uint8Array(12));

const UDP = 17;
const GRE = 47;
const DATAGRAM = 2;
/** Classic BPF `ret 0`: nothing passes. */
const NOTHING = Uint8Array.of(...hostUint(2, 6), 0, 0, ...hostUint(4, 0));

/**
 * Takes a UDP port, or with "gre" that protocol, and throws away what comes: the kernel would answer "unreachable".
 * @throws SystemError EADDRINUSE
 */
export function hold(family: 4 | 6, what: number | "gre"): { close(): void } {
  const port = what === "gre" ? 0 : what;
  const [type, protocol] = what === "gre" ? [RAW, GRE] : [DATAGRAM, UDP];
  const numbers = Uint8Array.of(port >> 8, port & 0xff);
  const rest = new Uint8Array(family === 4 ? 12 : 24); // any address
  const domain = family === 4 ? 2 : 10;
  const address = Uint8Array.of(...hostUint(2, domain), ...numbers, ...rest);
  const common = { type, protocol, slotOctets: 1, settings: [], filter: NOTHING };
  const socket = new NativeSocket({ domain, ...common, address });
  socket.keepAlive(false);
  return { close: () => socket.close() };
}
