import { concat, type Reader, uint } from "../bytes.ts";
import { DecodeError } from "../errors.ts";
import { type Frame, frameOctets, readFrame } from "../ethernet/frame.ts";
import { Vni } from "../ids.ts";

/**
 * VXLAN packet, the payload of UDP to port 4789 (RFC 7348 §5).
 *
 *   octets  1              3          3     1          variable
 *         | flags: I = 08 | reserved | VNI | reserved | inner frame |
 */
export type Vxlan = { vni: Vni; frame: Frame };

export const VXLAN_PORT = 4789;

const VALID_VNI = 0x08;

/** Reserved fields are read past. @throws DecodeError `bad-value` when no valid VNI is flagged; `short` */
export function readVxlan(r: Reader): Vxlan {
  const flags = r.uint(1);
  if ((flags & VALID_VNI) === 0) throw new DecodeError("bad-value", "VXLAN without a valid VNI");
  r.take(3);
  const vni = Vni(r.uint(3));
  r.take(1);
  return { vni, frame: readFrame(r) };
}

/** @throws OutOfRange as frameOctets does */
export const vxlanOctets = ({ vni, frame }: Vxlan): Uint8Array =>
  concat(uint(1, VALID_VNI), uint(3, 0), uint(3, vni), uint(1, 0), frameOctets(frame));
