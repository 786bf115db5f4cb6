import { isDeepStrictEqual } from "node:util";
import {
  addressesOf,
  arpOctets,
  chassisText,
  DecodeError,
  decode,
  ecpduOctets,
  evbTlvOctets,
  extensionOctets,
  findEvbTlv,
  findExtension,
  frameOctets,
  isAuthentic,
  labelsOf,
  lldpduOctets,
  macsOf,
  managementAddressOf,
  membersOfSet,
  mtusOf,
  namesOf,
  nonceOf,
  OutOfRange,
  portText,
  prefixesOf,
  type Reader,
  readArp,
  readDhcp,
  readDhcp6,
  readEcpdu,
  readEvbTlv,
  readExtension,
  readFrame,
  readLldpdu,
  readNd,
  readsOurs,
  readUdpOverIp,
  readVdpdu,
  readVxlan,
  setOf,
  textOf,
  unsealed,
  vdpduOctets,
  vsiIdText,
  vxlanOctets,
} from "@nve/protocol-spec";
import * as seeds from "./seeds.ts";
import type { Target } from "./target.ts";
import { mustBeWellFormed } from "./well-formed.ts";

/** Payload of a frame, and a bit more. */
const MAX_PAYLOAD = 1600;
const BATCH = 1000;

/** Any octets are a well-formed value, which written and read again is the same, or a DecodeError. */
function codec<T>(
  name: string,
  seedsOf: () => readonly Uint8Array[],
  read: (r: Reader) => T,
  write?: (value: T) => Uint8Array,
  use?: (value: T) => void,
): Target {
  const run = (octets: Uint8Array): void => {
    const value = valueFrom(() => decode(octets, read));
    if (value === undefined) return;
    mustBeWellFormed(value);
    use?.(value);
    const again = write === undefined ? undefined : written(write, value);
    if (again !== undefined && !isDeepStrictEqual(decode(again, read), value))
      throw new Error(`${name}: read, written and read again it is another value`);
  };
  return { name, seeds: seedsOf, run, maxLength: MAX_PAYLOAD, batch: BATCH };
}

/** Undefined for a DecodeError, which is how a decoder refuses. */
function valueFrom<T>(read: () => T): T | undefined {
  try {
    return read();
  } catch (error) {
    if (error instanceof DecodeError) return undefined;
    throw error;
  }
}

/** Undefined when it is longer than one that we may send. */
function written<T>(write: (value: T) => Uint8Array, value: T): Uint8Array | undefined {
  try {
    return write(value);
  } catch (error) {
    if (error instanceof OutOfRange && /octets at most/.test(error.message)) return undefined;
    throw error;
  }
}

/** All that is read of the TLVs of a LLDPDU by those who ask. */
function useLldpdu(lldpdu: ReturnType<typeof readLldpdu>): void {
  findEvbTlv(lldpdu.tlvs);
  findExtension(lldpdu.tlvs);
  readsOurs(lldpdu.tlvs);
  nonceOf(lldpdu.tlvs);
  chassisText(lldpdu.chassisId);
  portText(lldpdu.portId);
  textOf(lldpdu, "system-name");
  managementAddressOf(lldpdu);
}

function useVdpdu({ tlvs }: ReturnType<typeof readVdpdu>): void {
  for (const tlv of tlvs) {
    if (tlv.is !== "association") continue;
    const { vsiId } = tlv.association;
    vsiIdText(vsiId);
    for (const of of [addressesOf, prefixesOf, namesOf, macsOf, labelsOf, mtusOf, setOf])
      of(vsiId, tlvs);
    membersOfSet(vsiId, tlvs);
  }
}

/** Each decoder of protocol-spec that reads what comes from the wire. */
export const decoders: readonly Target[] = [
  codec("frame", seeds.frames, readFrame, frameOctets),
  codec("lldpdu", seeds.lldpdus, readLldpdu, lldpduOctets, useLldpdu),
  codec("evb", seeds.evbTlvs, readEvbTlv, evbTlvOctets),
  codec("extension", seeds.extensions, readExtension, extensionOctets),
  codec("ecpdu", seeds.ecpdus, readEcpdu, ecpduOctets),
  codec("vdpdu", seeds.vdpdus, readVdpdu, vdpduOctets, useVdpdu),
  {
    name: "seal",
    seeds: seeds.sealedVdpdus,
    run: (octets) => {
      const found = valueFrom(() => unsealed(octets));
      if (found !== undefined) isAuthentic(found.body, found.seal, seeds.KEY, seeds.CONTEXT);
    },
    maxLength: MAX_PAYLOAD,
    batch: BATCH,
  },
  codec("arp", seeds.arps, readArp, arpOctets),
  codec("nd", seeds.nds, readNd),
  codec("dhcp", seeds.dhcps, readDhcp),
  codec("dhcp6", seeds.dhcp6s, readDhcp6),
  codec("udp", seeds.udps, readUdpOverIp),
  codec("vxlan", seeds.vxlans, readVxlan, vxlanOctets),
];
