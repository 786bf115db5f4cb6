import { readFileSync } from "node:fs";
import {
  arpOctets,
  decode,
  EtherType,
  frameOctets,
  IpAddress,
  Mac,
  readFrame,
  readUdpOverIp,
  readVxlan,
} from "@nve/protocol-spec";
import { readPcap } from "./pcap.ts";

export const broadcast = Mac("ff:ff:ff:ff:ff:ff");
/** Source of test frames: red1's, and blue1's. */
export const probe = Mac("02:00:00:00:00:01");

/** Of an EtherType for experiments (IEEE 802, local experimental): who sees one, sees a test's. */
export const testFrame = (
  vid: number | undefined,
  destination = broadcast,
  source = probe,
): Uint8Array =>
  frameOctets({
    destination,
    source,
    ...(vid !== undefined && { tag: { pcp: 0, dei: false, vid } }),
    etherType: 0x88b5,
    payload: new Uint8Array(50),
  });

/** Who has `wanted`? */
export function arp(from: string, wanted: string): Uint8Array {
  const payload = arpOctets({
    op: "request",
    sender: { mac: Mac(from), ip: IpAddress("10.0.1.21") },
    target: { mac: Mac("00:00:00:00:00:00"), ip: IpAddress(wanted) },
  });
  return frameOctets({
    destination: broadcast,
    source: Mac(from),
    etherType: EtherType.arp,
    payload,
  });
}

/** Source and destination of every IPv4 packet of a capture, as a router reads them. */
export const addressesOf = (path: string): string[] =>
  readPcap(readFileSync(path)).flatMap(({ octets }) => {
    const { payload } = decode(octets, readFrame);
    return [payload.subarray(12, 16), payload.subarray(16, 20)].map((ip) => ip.join("."));
  });

/** The VXLAN of a capture in the underlay. */
export function vxlanOf(path: string) {
  return readPcap(readFileSync(path)).map(({ octets }) => {
    const udp = decode(decode(octets, readFrame).payload, readUdpOverIp);
    const { vni, frame } = decode(udp.payload, readVxlan);
    const tagged = frame.tag !== undefined;
    return { from: udp.source, to: udp.destination, vni, etherType: frame.etherType, tagged };
  });
}
