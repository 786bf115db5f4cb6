import { type IpAddress, ipFrom, type Mac } from "@nve/protocol-spec";
import { ETHERNET, etherTypeOf, has, readArp, readNd, typeOf } from "../../userspace/parse.ts";
import { ownsWhatItSays } from "../../userspace/sources.ts";
import { prefixOf } from "../addresses.ts";
import type { View } from "./story.ts";

/** Whether the kernel has all IPs that a bare frame says are its source's (M10, programs/sources.h). */
export function ownedBy({ maps }: View, vni: number, mac: Mac, frame: Uint8Array): boolean {
  const home = { vni, mac, zero: 0 };
  const said = saidIn(frame).flatMap((ip) => {
    if (maps.sources.get({ ...home, ip }) !== undefined) return [ip];
    // The longest prefix that it is in.
    const isIn = maps.sourceNets.get({ length: ALL_BITS, ...home, ip }) !== undefined;
    return isIn ? [prefixOf({ length: ALL_BITS, ip })] : [];
  });
  return ownsWhatItSays(frame, said);
}

/** Of the key of `source_nets` behind `length`. */
const ALL_BITS = 96 + 128;

function saidIn(frame: Uint8Array): IpAddress[] {
  switch (etherTypeOf(frame)) {
    case typeOf.ipv4:
      return has(frame, ETHERNET + 16) ? [ipFrom(frame.subarray(26, 30))] : [];
    case typeOf.arp: {
      const arp = readArp(frame);
      return arp === undefined ? [] : [ipFrom(arp.ip)];
    }
    case typeOf.ipv6: {
      const about = readNd(frame)?.target;
      const all = has(frame, ETHERNET + 24)
        ? [frame.subarray(22, 38), ...(about ? [about] : [])]
        : [];
      return all.map(ipFrom);
    }
    default:
      return [];
  }
}
