import { EtherType, frameOctets, GroupAddress, type Mac } from "@nve/protocol-spec";
import type { Link } from "../link.ts";

/** Without the FCS (802.3 §3.2.8). */
const MIN_FRAME_LENGTH = 60;

/**
 * Sends one PDU untagged, padded to the shortest frame. `false`: not sent, the interface is not there or the
 * link has dropped it.
 */
export function sendPdu(
  link: Link,
  protocol: "lldp" | "ecp",
  payload: Uint8Array,
  destination: Mac = GroupAddress.nearestCustomerBridge,
): boolean {
  const source = link.mac;
  if (source === undefined) return false;
  const etherType = EtherType[protocol];
  return link.send(padded(frameOctets({ destination, source, etherType, payload })));
}

function padded(frame: Uint8Array): Uint8Array {
  if (frame.length >= MIN_FRAME_LENGTH) return frame;
  const octets = new Uint8Array(MIN_FRAME_LENGTH);
  octets.set(frame);
  return octets;
}
