import { bits, concat, type Reader, uint } from "../bytes.ts";
import { DecodeError } from "../errors.ts";

/**
 * ECPDU (802.1Q clause 43), the payload of a frame with EtherType 8940.
 *
 *   octets  2                            2          variable
 *         | version:4 op:2 subtype:10 | sequence | ULPDU (requests only) |
 */
export type Ecpdu = {
  op: "request" | "ack";
  /** 1 = VDP, 2 = port extender. */
  subtype: number;
  sequence: number;
  /** Empty in an ack. A request may carry trailing padding, which reads as End TLV upwards. */
  ulpdu: Uint8Array;
};

export const EcpSubtype = { vdp: 1, portExtender: 2 } as const;

const VERSION = 1;
const OP = { request: 0, ack: 1 } as const;

/** @throws DecodeError `unsupported` for another version than 1 and for the operations 2 and 3 */
export function readEcpdu(r: Reader): Ecpdu {
  const word = r.uint(2);
  const [version, op, subtype] = [word >> 12, (word >> 10) & 3, word & 0x3ff];
  if (version !== VERSION) throw new DecodeError("unsupported", `ECP version ${version}`);
  const sequence = r.uint(2);
  const ulpdu = r.rest(); // behind an ack this is the padding of a short frame
  if (op === OP.request) return { op: "request", subtype, sequence, ulpdu };
  if (op === OP.ack) return { op: "ack", subtype, sequence, ulpdu: new Uint8Array() };
  throw new DecodeError("unsupported", `ECP operation ${op}`);
}

/** @throws OutOfRange when `subtype` or `sequence` does not fit */
export function ecpduOctets({ op, subtype, sequence, ulpdu }: Ecpdu): Uint8Array {
  return concat(
    uint(2, (VERSION << 12) | (OP[op] << 10) | bits(10, subtype)),
    uint(2, sequence),
    op === "request" ? ulpdu : new Uint8Array(),
  );
}
