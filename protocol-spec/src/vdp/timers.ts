/** VDP and ECP times from the negotiated exponents (spec/vdp.md 4), in milliseconds. */
export type VdpTimes = {
  /** ECP: until the next copy. */
  ackTimeoutMs: number;
  /** Bridge: for the decision about a request. */
  resourceWaitMs: number;
  /** Station: for the answer to a request, ECP's retries on both ways included. */
  responseWaitMs: number;
  /** Station: from the last answer to the next keepalive. */
  reinitKeepaliveMs: number;
  /** Bridge: from the last request until the VSI is dropped. */
  keepaliveTimeoutMs: number;
};

/** R 0 … 7; RTE, RWD, RKA 0 … 31, exponents of 10 µs × 2^n (802.1Q §D.2.12). */
export function vdpTimes({ r, rte, rwd, rka }: Exponents): VdpTimes {
  const delivery = (2 * r + 1) * ms(rte);
  return {
    ackTimeoutMs: ms(rte),
    resourceWaitMs: ms(rwd),
    responseWaitMs: 1.5 * (ms(rwd) + delivery),
    reinitKeepaliveMs: ms(rka),
    keepaliveTimeoutMs: 1.5 * (ms(rka) + delivery),
  };
}

type Exponents = { r: number; rte: number; rwd: number; rka: number };

const ms = (exponent: number): number => 2 ** exponent / 100;
