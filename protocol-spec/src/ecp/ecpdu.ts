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
