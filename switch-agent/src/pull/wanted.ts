import {
  decode,
  EtherType,
  isGroup,
  isUnicast,
  type Reader,
  readArp,
  readFrame,
  readNd,
} from "@nve/protocol-spec";
import type { Wanted } from "./pull.ts";

const ICMPV6 = 58;

/**
 * Whom a frame (without its tag, maybe cut off at the end) is for; or, sent to a group, whose address it asks for in
 * ARP or neighbour discovery. Undefined: nobody in particular.
 * @throws DecodeError
 */
export function wantedIn(octets: Uint8Array): Wanted | undefined {
  const { destination, etherType, payload } = decode(octets, readFrame);
  if (!isGroup(destination)) return { mac: destination };
  if (etherType === EtherType.arp) {
    const { op, sender, target } = decode(payload, readArp);
    return op === "request" && target.ip !== sender.ip && isUnicast(target.ip)
      ? { ip: target.ip }
      : undefined;
  }
  return etherType === EtherType.ipv6 ? decode(payload, solicited) : undefined;
}

function solicited(r: Reader): Wanted | undefined {
  r.take(6);
  const next = r.uint(1);
  r.take(33);
  if (next !== ICMPV6) {
    r.rest();
    return undefined;
  }
  const { is, target } = readNd(r);
  return is === "solicitation" && isUnicast(target) ? { ip: target } : undefined;
}
