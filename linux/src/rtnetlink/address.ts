import { concat, type IpAddress, ipFrom } from "@nve/protocol-spec";
import { field, readAttributes } from "./codec.ts";

/** An IP address of an interface. */
export type AddressInfo = { index: number; address: IpAddress; prefixLength: number };

/**
 * ifaddrmsg (family 1, prefix length 1, flags 1, scope 1, index 4), then attributes. `undefined` for a family
 * other than IPv4 and IPv6. @throws DecodeError
 */
export function readAddress(body: Uint8Array): AddressInfo | undefined {
  const attributes = readAttributes(body.subarray(IFADDR));
  // of a point-to-point interface "address" is the peer's, "local" its own
  const octets = attributes.get(IFA.local) ?? attributes.get(IFA.address);
  if (octets?.length !== 4 && octets?.length !== 16) return undefined;
  return { index: field(body, 4, 4), address: ipFrom(octets), prefixLength: field(body, 1, 1) };
}

/** Body of RTM_GETADDR for all addresses of all families. */
export const addressDumpOctets = (): Uint8Array => concat(new Uint8Array(IFADDR));

const IFADDR = 8;
const IFA = { address: 1, local: 2 };
