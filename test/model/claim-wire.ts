import { Claim } from "@nve/protocol-spec/proto/types";
import { type Content, partsOf } from "./book.ts";

export function claimToWire(key: string, content: Content, sequence: number): Claim {
  const { vn, mac } = partsOf(key);
  return Claim.create({
    vnId: vn,
    mac: Buffer.from(mac, "hex"),
    ips: content.ips.map((ip) => Buffer.from(ip, "hex")),
    vnic: Buffer.from(content.vnic, "hex"),
    sequence: BigInt(sequence),
    sticky: content.sticky,
    anycast: content.anycast,
    suspended: content.suspended,
    gleaned: content.gleaned,
  });
}
