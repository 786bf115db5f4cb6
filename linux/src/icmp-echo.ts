import { createRequire } from "node:module";
import { IpAddress } from "@nve/protocol-spec";
import { Unavailable } from "./errors.ts";

/** ICMP echoes (RFC 792, RFC 4443 §4) that no router may cut in pieces, on npm `raw-socket`. */
export interface IcmpEcho {
  /**
   * @param octets of the whole IP packet, 28 (IPv6: 48) … 65535. Sent with DF, and whatever the kernel believes of the path.
   * @returns `false` when it could not be sent: longer than the interface takes, no route
   */
  send(to: IpAddress, sequence: number, octets: number): Promise<boolean>;
  close(): void;
}

/** An answer to one of ours. */
export type EchoReply = { from: IpAddress; sequence: number };

/**
 * @param family of all whom it will be sent to
 * @param identifier tells our echoes from those of others on this machine, 16 bits
 * @throws Unavailable: `raw-socket` is not installed or was not built, or CAP_NET_RAW is missing
 */
export function openIcmpEcho(
  family: 4 | 6,
  identifier: number,
  hear: (reply: EchoReply) => void,
): IcmpEcho {
  const kind = kinds[family];
  const socket = open(family);
  let isOpen = true;
  socket.on("message", (octets, source) => {
    const at = family === 4 ? ((octets[0] ?? 0) & 15) * 4 : 0; // IPv4's header comes with it
    if (!isOpen || octets.length < at + HEADER || octets[at] !== kind.reply) return;
    const view = new DataView(octets.buffer, octets.byteOffset + at, HEADER);
    if (view.getUint16(4) !== identifier) return;
    hear({ from: addressOf(source), sequence: view.getUint16(6) });
  });
  socket.on("error", () => {}); // what cannot be sent is said where it was sent
  return {
    send: (to, sequence, octets) =>
      new Promise((resolve) => {
        if (!isOpen) return resolve(false);
        const length = octets - kind.ip;
        const echo = Buffer.alloc(Math.max(length, HEADER));
        echo[0] = kind.request;
        echo.writeUInt16BE(identifier, 4);
        echo.writeUInt16BE(sequence, 6);
        if (family === 4) echo.writeUInt16BE(checksum(echo), 2); // ICMPv6's is the kernel's to make
        socket.send(echo, 0, echo.length, to, (error) => resolve(error === null));
      }),
    close: () => {
      isOpen = false;
      socket.close();
    },
  };
}

const HEADER = 8;
const kinds = {
  4: { ip: 20, request: 8, reply: 0 },
  6: { ip: 40, request: 128, reply: 129 },
} as const;
/** Levels and options of setsockopt. */
const [IPPROTO_IP, IPPROTO_IPV6, IPPROTO_ICMPV6, SOL_RAW] = [0, 41, 58, 255];
const [ICMP_FILTER, ICMP6_FILTER] = [1, 1];
const [IP_MTU_DISCOVER, IPV6_MTU_DISCOVER] = [10, 23];
/** DF, and no longer than the interface takes, whatever was heard of the path (ip(7)). */
const PMTUDISC_PROBE = 3;

/** With nothing but answers to echoes. */
function open(family: 4 | 6): RawSocket {
  const raw = loadRawSocket();
  let socket: RawSocket;
  try {
    const protocol = family === 4 ? raw.Protocol.ICMP : raw.Protocol.ICMPv6;
    const addressFamily = family === 4 ? raw.AddressFamily.IPv4 : raw.AddressFamily.IPv6;
    socket = raw.createSocket({ protocol, addressFamily });
  } catch (cause) {
    const why = cause instanceof Error ? cause.message : String(cause);
    throw new Unavailable(`no ICMP: ${why}: run as root or with CAP_NET_RAW`, { cause });
  }
  if (family === 4) {
    socket.setOption(SOL_RAW, ICMP_FILTER, octets32(0xfffffffe), 4); // all but type 0 stay away
    socket.setOption(IPPROTO_IP, IP_MTU_DISCOVER, PMTUDISC_PROBE);
  } else {
    const filter = Buffer.alloc(32, 0xff);
    filter.writeUInt32LE(~(1 << (kinds[6].reply & 31)) >>> 0, (kinds[6].reply >> 5) * 4);
    socket.setOption(IPPROTO_ICMPV6, ICMP6_FILTER, filter, filter.length);
    socket.setOption(IPPROTO_IPV6, IPV6_MTU_DISCOVER, PMTUDISC_PROBE);
  }
  return socket;
}

function octets32(n: number): Buffer {
  const octets = Buffer.alloc(4);
  octets.writeUInt32LE(n);
  return octets;
}

/** Without the interface that a link-local one may have behind it. */
const addressOf = (text: string): IpAddress => IpAddress(text.split("%")[0] ?? text);

/** RFC 1071. */
function checksum(octets: Uint8Array): number {
  let sum = 0;
  for (let i = 0; i < octets.length; i += 2) sum += ((octets[i] ?? 0) << 8) | (octets[i + 1] ?? 0);
  while (sum > 0xffff) sum = (sum & 0xffff) + (sum >>> 16);
  return ~sum & 0xffff;
}

/** What we use of the package, which has no types. */
type RawSocket = {
  on(event: "message", hear: (octets: Buffer, source: string) => void): void;
  on(event: "error", hear: (error: Error) => void): void;
  send(
    octets: Buffer,
    offset: number,
    length: number,
    to: string,
    sent: (error: Error | null) => void,
  ): void;
  setOption(level: number, option: number, value: number): void;
  setOption(level: number, option: number, value: Buffer, length: number): void;
  close(): void;
};

type RawSocketPackage = {
  createSocket(options: { protocol: number; addressFamily: number }): RawSocket;
  Protocol: { ICMP: number; ICMPv6: number };
  AddressFamily: { IPv4: number; IPv6: number };
};

function loadRawSocket(): RawSocketPackage {
  try {
    return createRequire(import.meta.url)("raw-socket") as RawSocketPackage;
  } catch (cause) {
    throw new Unavailable(
      "npm raw-socket is not installed: it is optional, and built at `npm ci` where there is a compiler",
      { cause },
    );
  }
}
