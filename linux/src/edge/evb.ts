import {
  type Evb,
  type EvbAction,
  type EvbAgreed,
  type EvbEvent,
  type EvbTlv,
  evbAgreed,
  evbStart,
  findEvbTlv,
  type Lldpdu,
  type LldpRxAction,
  sameNeighbour,
  stepEvb,
} from "@nve/protocol-spec";
import { drive } from "../drive.ts";
import type { EdgePortOptions } from "../edge-port.ts";

/** EVB of one link: follows the neighbour whose LLDPDU was the last with an EVB TLV. */
export type EvbSide = {
  agreed(): EvbAgreed;
  /** What we show now. */
  local(): EvbTlv;
  /** Takes in what happened to a neighbour; whether `local` is another one than before. */
  follow(action: LldpRxAction): boolean;
  stop(): void;
};

export function openEvb(options: EdgePortOptions): EvbSide {
  let changed = false;
  const evb = drive<Evb, EvbEvent, EvbAction>(
    evbStart(options.role, options.policy),
    (evb, event) => (event.on === "tick" ? [evb] : stepEvb(evb, event)),
    options.clock,
    (action) => {
      if (action.do === "announce") changed = true;
      else if (action.do === "anew") options.onPeerAnew?.();
      else options.onEvb(action.agreed);
    },
  );

  let peer: Lldpdu | undefined;
  function follow({ do: what, neighbour: { lldpdu } }: LldpRxAction): boolean {
    changed = false;
    const tlv = what === "neighbour-gone" ? undefined : findEvbTlv(lldpdu.tlvs);
    if (tlv !== undefined) {
      peer = lldpdu;
      evb({ on: "peer", tlv });
    } else if (peer !== undefined && sameNeighbour(peer, lldpdu)) {
      peer = undefined;
      evb({ on: "peer-gone" });
    }
    return changed;
  }

  return {
    agreed: () => evbAgreed(evb.state()),
    local: () => evb.state().local,
    follow,
    stop: evb.stop,
  };
}
