/** VDP and ECP times from the negotiated exponents (spec/vdp.md 4), in milliseconds. */
export type VdpTimes = {
  ackTimeoutMs: number;
  resourceWaitMs: number;
  responseWaitMs: number;
  reinitKeepaliveMs: number;
  keepaliveTimeoutMs: number;
};
