import {
  type Evb,
  type EvbAction,
  type EvbAgreed,
  type EvbEvent,
  type EvbTlv,
  evbAgreed,
  evbStart,
  stepEvb,
} from "@nve/protocol-spec";
import { drive } from "../drive.ts";
import type { EdgePortOptions } from "../edge-port.ts";

/** EVB with one peer. */
export type EvbSide = {
  agreed(): EvbAgreed;
  /** What we show now. */
  local(): EvbTlv;
  /**
   * Takes in the EVB TLV of each LLDPDU of the peer's; undefined: it has none any more, or the peer is gone.
   * @returns whether it must hear from us now
   */
  hear(tlv: EvbTlv | undefined): boolean;
  stop(): void;
};

type Told = { onEvb(agreed: EvbAgreed): void; onAnew(): void };

export function openEvb({ role, policy, clock }: EdgePortOptions, told: Told): EvbSide {
  let announce = false;
  const evb = drive<Evb, EvbEvent, EvbAction>(
    evbStart(role, policy),
    (evb, event) => (event.on === "tick" ? [evb] : stepEvb(evb, event)),
    clock,
    (action) => {
      if (action.do === "announce") announce = true;
      else if (action.do === "anew") told.onAnew();
      else told.onEvb(action.agreed);
    },
  );
  return {
    agreed: () => evbAgreed(evb.state()),
    local: () => evb.state().local,
    hear: (tlv) => {
      announce = false;
      evb(tlv === undefined ? { on: "peer-gone" } : { on: "peer", tlv });
      return announce;
    },
    stop: evb.stop,
  };
}
