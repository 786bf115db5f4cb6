import {
  type DigestLocation,
  ipFrom,
  isIpv6,
  isUnicast,
  locationOctets,
  NveId,
} from "@nve/protocol-spec";
import { Encapsulation } from "@nve/protocol-spec/proto/types";
import {
  type EncapsulationName,
  encapsulations as everyEncapsulation,
  type Member,
  viaOf,
  viaVxlan,
} from "@nve/switch-agent/nve";
import type { Self } from "./convert.ts";

/** Where an NVE is and what it announces (types.proto). */
export type ToldLocation = DigestLocation & { encapsulations: readonly Encapsulation[] };

type Known = { member: Member | undefined; octets: Uint8Array };

/** Who is where. A location is read once, however many mappings have it: it never changes. */
export class Locations {
  readonly #self: Self;
  readonly #known = new WeakMap<DigestLocation, Known>();

  constructor(self: Self) {
    this.#self = self;
  }

  /**
   * Nothing for ourselves, and for an NVE with no VTEP of our address family. With no encapsulation in common `via` is
   * empty. @throws OutOfRange
   */
  memberAt(location: ToldLocation): Member | undefined {
    return this.#read(location).member;
  }

  /** For digests; of what cannot be read too. */
  octetsOf(location: DigestLocation): Uint8Array {
    return this.#known.get(location)?.octets ?? locationOctets(location);
  }

  #read(location: ToldLocation): Known {
    const known = this.#known.get(location);
    if (known !== undefined) return known;
    const read = { member: memberOf(location, this.#self), octets: locationOctets(location) };
    this.#known.set(location, read);
    return read;
  }
}

function memberOf({ nveId, vteps, encapsulations }: ToldLocation, self: Self): Member | undefined {
  const nve = NveId(nveId);
  if (nve === self.nve) return undefined;
  const vtep = vteps.map(ipFrom).find((ip) => isIpv6(ip) === isIpv6(self.vtep) && isUnicast(ip));
  if (vtep === undefined || vtep === self.vtep) return undefined;
  const via = viaOf(self.encapsulations ?? viaVxlan, kindsFrom(encapsulations));
  return { nve, vtep, ...(via !== viaVxlan && { via }) };
}

const kinds: Readonly<Record<EncapsulationName, Encapsulation>> = {
  vxlan: Encapsulation.ENCAPSULATION_VXLAN,
  nvgre: Encapsulation.ENCAPSULATION_NVGRE,
  "mpls-over-gre": Encapsulation.ENCAPSULATION_MPLS_OVER_GRE,
};

export const kindsTo = (names: readonly EncapsulationName[]): Encapsulation[] =>
  names.map((one) => kinds[one]);

const kindsFrom = (announced: readonly Encapsulation[]): EncapsulationName[] =>
  everyEncapsulation.filter((one) => announced.includes(kinds[one]));
