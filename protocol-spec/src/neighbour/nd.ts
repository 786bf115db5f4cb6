import { concat, type Reader, uint } from "../bytes.ts";
import { DecodeError, OutOfRange } from "../errors.ts";
import { type Mac, macFrom, macOctets } from "../ids.ts";
import { type IpAddress, ipFrom, ipOctets, isIpv6 } from "../ip.ts";

/**
 * Neighbour Solicitation and Advertisement (RFC 4861 §4.3, §4.4), from the ICMPv6 type on. The checksum is neither
 * looked at nor made: it covers addresses of the IPv6 header, and a NIC may fill it in after us.
 *
 *   octets  1            1   2          4               16       variable
 *         | 135 or 136 | 0 | checksum | R S O reserved | target | options |
 */
export type Nd = {
  is: "solicitation" | "advertisement";
  target: IpAddress;
  /** Of an advertisement: it answers a solicitation; it may replace what was known. */
  solicited: boolean;
  override: boolean;
  /** From the option: the sender's in a solicitation, the target's in an advertisement. */
  linkLayer?: Mac;
};

const TYPE = { solicitation: 135, advertisement: 136 } as const;
/** Which link-layer address option means the speaker (RFC 4861 §4.6.1). */
const OPTION = { solicitation: 1, advertisement: 2 } as const;
const SOLICITED = 0x4000_0000;
const OVERRIDE = 0x2000_0000;
const UNIT = 8;

/**
 * The first option of the wanted kind counts; others are read past, and so is what is cut off at the end.
 * @throws DecodeError `unsupported` for other ICMPv6; `bad-value` for an option of length 0 (RFC 4861 §4.6) or no
 *   multiple of a link-layer address
 */
export function readNd(r: Reader): Nd {
  const type = r.uint(1);
  if (type !== TYPE.solicitation && type !== TYPE.advertisement)
    throw new DecodeError("unsupported", `ICMPv6 type ${type}`);
  const is = type === TYPE.solicitation ? "solicitation" : "advertisement";
  if (r.uint(1) !== 0) throw new DecodeError("unsupported", "ICMPv6 code is not 0");
  r.take(2);
  const flags = r.uint(4);
  const target = ipFrom(r.take(16));
  const linkLayer = readLinkLayer(r, OPTION[is]);
  return {
    is,
    target,
    solicited: is === "advertisement" && (flags & SOLICITED) !== 0,
    override: is === "advertisement" && (flags & OVERRIDE) !== 0,
    ...(linkLayer !== undefined && { linkLayer }),
  };
}

function readLinkLayer(r: Reader, wanted: number): Mac | undefined {
  let found: Mac | undefined;
  while (r.left >= 2) {
    const type = r.uint(1);
    const length = r.uint(1) * UNIT - 2;
    if (length < 0) throw new DecodeError("bad-value", "ND option of length 0");
    if (length > r.left) break;
    const value = r.take(length);
    if (type === wanted) found ??= macFrom(value.subarray(0, 6));
  }
  r.rest();
  return found;
}

/** @throws OutOfRange when the target is not IPv6 */
export function ndOctets({ is, target, solicited, override, linkLayer }: Nd): Uint8Array {
  if (!isIpv6(target)) throw new OutOfRange(`neighbour discovery cannot carry ${target}`);
  const flags = (solicited ? SOLICITED : 0) + (override ? OVERRIDE : 0);
  return concat(
    concat(uint(1, TYPE[is]), uint(1, 0), uint(2, 0)),
    concat(uint(4, flags), ipOctets(target)),
    linkLayer === undefined
      ? new Uint8Array()
      : concat(uint(1, OPTION[is]), uint(1, 1), macOctets(linkLayer)),
  );
}
