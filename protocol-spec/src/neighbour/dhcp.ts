import { concat, decode, type Reader, uint } from "../bytes.ts";
import { DecodeError } from "../errors.ts";
import { type Mac, macFrom, macOctets } from "../ids.ts";
import { type IpAddress, ipFrom, ipOctets } from "../ip.ts";

/**
 * As much of a DHCP message as says who got which address (RFC 2131 §2), over Ethernet only. `leaseSeconds` 2^32-1:
 * for ever.
 *
 *   octets  1    1   1   1   4     2      2       4        4        4    4    16       64     128    4          variable
 *         | op | 1 | 6 | . | xid | secs | flags | ciaddr | yiaddr | . | . | chaddr | sname | file | 63825363 | options |
 */
export type Dhcp = {
  op: "request" | "reply";
  transaction: number;
  /** `chaddr`: the client that asks or is answered, wherever the message goes. */
  client: Mac;
  /** `yiaddr`: 0.0.0.0 if the message gives none. */
  yourIp: IpAddress;
  /** Option 53; absent in BOOTP. */
  message?: number;
  /** Option 51. */
  leaseSeconds?: number;
};

export const DhcpMessage = { discover: 1, offer: 2, request: 3, ack: 5 } as const;

const OP = { request: 1, reply: 2 } as const;
const COOKIE = 0x63825363;
const PAD = 0;
const END = 255;

/**
 * Options that are cut off, as at the end of a sample, are left out.
 * @throws DecodeError `unsupported` for other media or BOOTP extensions, `bad-value` for another `op`; `short`
 */
export function readDhcp(r: Reader): Dhcp {
  const op = r.uint(1);
  if (op !== OP.request && op !== OP.reply) throw new DecodeError("bad-value", `DHCP op ${op}`);
  if (r.uint(2) !== 0x0106) throw new DecodeError("unsupported", "DHCP not for Ethernet");
  r.take(1);
  const transaction = r.uint(4);
  r.take(8);
  const yourIp = ipFrom(r.take(4));
  r.take(8);
  const client = macFrom(r.take(16).subarray(0, 6));
  r.take(64 + 128);
  if (r.uint(4) !== COOKIE) throw new DecodeError("unsupported", "no DHCP options (RFC 2131 §3)");
  const options = readOptions(r);
  const [message, lease] = [options.get(53), options.get(51)];
  return {
    op: op === OP.request ? "request" : "reply",
    transaction,
    client,
    yourIp,
    ...(message?.length === 1 && { message: decode(message, (o) => o.uint(1)) }),
    ...(lease?.length === 4 && { leaseSeconds: decode(lease, (o) => o.uint(4)) }),
  };
}

/** The first of each code (RFC 2132 §2). */
function readOptions(r: Reader): Map<number, Uint8Array> {
  const options = new Map<number, Uint8Array>();
  while (r.left > 0) {
    const code = r.uint(1);
    if (code === END) break;
    if (code === PAD) continue;
    const length = r.left > 0 ? r.uint(1) : 0;
    if (length > r.left) break;
    const value = r.take(length);
    if (!options.has(code)) options.set(code, value);
  }
  r.rest();
  return options;
}

export function dhcpOctets(dhcp: Dhcp): Uint8Array {
  const { op, transaction, client, yourIp, message, leaseSeconds } = dhcp;
  return concat(
    concat(uint(1, OP[op]), uint(2, 0x0106), uint(1, 0), uint(4, transaction)),
    concat(new Uint8Array(8), ipOctets(yourIp), new Uint8Array(8)),
    concat(macOctets(client), new Uint8Array(10 + 64 + 128), uint(4, COOKIE)),
    message === undefined ? new Uint8Array() : concat(uint(2, 0x3501), uint(1, message)),
    leaseSeconds === undefined ? new Uint8Array() : concat(uint(2, 0x3304), uint(4, leaseSeconds)),
    uint(1, END),
  );
}

/**
 * As much of a DHCPv6 message between client and server as says which addresses are given (RFC 8415 §8, §21.4,
 * §21.6). Lifetimes in seconds, 2^32-1: for ever.
 *
 *   octets  1      3             variable
 *         | type | transaction | options, each: code 2, length 2, value |
 */
export type Dhcp6 = {
  type: number;
  transaction: number;
  addresses: readonly { ip: IpAddress; validSeconds: number }[];
};

export const Dhcp6Message = { reply: 7 } as const;
const IA_NA = 3;
const IAADDR = 5;

/** Options that are cut off are left out, in an identity association too. @throws DecodeError `short` */
export function readDhcp6(r: Reader): Dhcp6 {
  const [type, transaction] = [r.uint(1), r.uint(3)];
  const addresses = [...options6(r)]
    .filter(([code, value]) => code === IA_NA && value.length >= 12)
    .flatMap(([, value]) => [...decode(value.subarray(12), options6)])
    .filter(([code, value]) => code === IAADDR && value.length >= 24)
    .map(([, value]) => ({
      ip: ipFrom(value.subarray(0, 16)),
      validSeconds: decode(value.subarray(20, 24), (o) => o.uint(4)),
    }));
  return { type, transaction, addresses };
}

function options6(r: Reader): [code: number, value: Uint8Array][] {
  const options: [number, Uint8Array][] = [];
  while (r.left >= 4) {
    const [code, length] = [r.uint(2), r.uint(2)];
    if (length > r.left) break;
    options.push([code, r.take(length)]);
  }
  r.rest();
  return options;
}

/** One identity association with all addresses. */
export function dhcp6Octets({ type, transaction, addresses }: Dhcp6): Uint8Array {
  const inside = addresses.map(({ ip, validSeconds }) =>
    concat(
      concat(uint(2, IAADDR), uint(2, 24)),
      ipOctets(ip),
      concat(uint(4, validSeconds), uint(4, validSeconds)),
    ),
  );
  const association = concat(new Uint8Array(12), ...inside);
  return concat(
    concat(uint(1, type), uint(3, transaction)),
    concat(uint(2, IA_NA), uint(2, association.length), association),
  );
}
