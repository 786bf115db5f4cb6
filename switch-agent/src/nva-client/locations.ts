import { ipFrom, isIpv6, isUnicast, NveId, sameOctets } from "@nve/protocol-spec";
import type { Location } from "@nve/protocol-spec/proto/types";
import type { Member } from "@nve/switch-agent/nve";
import type { Self } from "./convert.ts";

/** NVEs whose location is kept. */
const MANY = 10_000;

/** Who is where. An NVE is told with every one of its mappings, so what was read of it last is kept. */
export class Locations {
  readonly #self: Self;
  readonly #known = new Map<string, { vteps: readonly Uint8Array[]; member: Member | undefined }>();

  constructor(self: Self) {
    this.#self = self;
  }

  /** Nothing for ourselves, and for an NVE with no VTEP of our address family. @throws OutOfRange */
  memberAt({ nveId, vteps }: Location): Member | undefined {
    const known = this.#known.get(nveId);
    if (known !== undefined && sameAll(known.vteps, vteps)) return known.member;
    const member = this.#read(nveId, vteps);
    if (this.#known.size >= MANY) this.#known.clear();
    // Copied: what was read is a piece of something larger.
    this.#known.set(nveId, { vteps: vteps.map((octets) => Uint8Array.from(octets)), member });
    return member;
  }

  #read(nveId: string, vteps: readonly Uint8Array[]): Member | undefined {
    const self = this.#self;
    const nve = NveId(nveId);
    if (nve === self.nve) return undefined;
    const vtep = vteps.map(ipFrom).find((ip) => isIpv6(ip) === isIpv6(self.vtep) && isUnicast(ip));
    return vtep === undefined || vtep === self.vtep ? undefined : { nve, vtep };
  }
}

const sameAll = (a: readonly Uint8Array[], b: readonly Uint8Array[]): boolean =>
  a.length === b.length &&
  a.every((octets, i) => {
    const other = b[i];
    return other !== undefined && sameOctets(octets, other);
  });
