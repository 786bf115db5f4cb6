import {
  type DigestLocation,
  ipFrom,
  isIpv6,
  isUnicast,
  locationOctets,
  NveId,
} from "@nve/protocol-spec";
import type { Member } from "@nve/switch-agent/nve";
import type { Self } from "./convert.ts";

type Known = { member: Member | undefined; octets: Uint8Array };

/** Who is where. A location is read once, however many mappings have it: it never changes. */
export class Locations {
  readonly #self: Self;
  readonly #known = new WeakMap<DigestLocation, Known>();

  constructor(self: Self) {
    this.#self = self;
  }

  /** Nothing for ourselves, and for an NVE with no VTEP of our address family. @throws OutOfRange */
  memberAt(location: DigestLocation): Member | undefined {
    return this.#read(location).member;
  }

  /** For digests; of what cannot be read too. */
  octetsOf(location: DigestLocation): Uint8Array {
    return this.#known.get(location)?.octets ?? locationOctets(location);
  }

  #read(location: DigestLocation): Known {
    const known = this.#known.get(location);
    if (known !== undefined) return known;
    const read = { member: memberOf(location, this.#self), octets: locationOctets(location) };
    this.#known.set(location, read);
    return read;
  }
}

function memberOf({ nveId, vteps }: DigestLocation, self: Self): Member | undefined {
  const nve = NveId(nveId);
  if (nve === self.nve) return undefined;
  const vtep = vteps.map(ipFrom).find((ip) => isIpv6(ip) === isIpv6(self.vtep) && isUnicast(ip));
  return vtep === undefined || vtep === self.vtep ? undefined : { nve, vtep };
}
