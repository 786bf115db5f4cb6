import {
  type EvbTlv,
  evbOptionalTlv,
  type LldpTx,
  type LldpTxAction,
  type LldpTxEvent,
  lldpduOctets,
  lldpTiming,
  lldpTxStart,
  type Mac,
  stepLldpTx,
} from "@nve/protocol-spec";
import { type Driven, drive } from "../drive.ts";
import type { EdgePortOptions, LldpCounters } from "../edge-port.ts";
import { sendPdu } from "./send.ts";

/** The transmit side of an LLDP agent: what goes to one destination (802.1AB §7.1). */
export type Speaker = Driven<LldpTx, LldpTxEvent>;

/** @throws OutOfRange when what our LLDPDUs shall carry does not fit */
export function speak(
  options: EdgePortOptions,
  counters: LldpCounters,
  to: () => Mac,
  octets: () => Uint8Array,
): Speaker {
  octets(); // what does not fit is refused now, not when the link comes up
  return drive<LldpTx, LldpTxEvent, LldpTxAction>(
    lldpTxStart,
    stepLldpTx,
    options.clock,
    (action) => {
      const pdu = action.do === "transmit" ? octets() : lastLldpdu(options);
      if (sendPdu(options.link, "lldp", pdu, to())) counters.out += 1;
    },
  );
}

/** All that we say of ourselves, and EVB. */
export const evbLldpdu = ({ lldp }: EdgePortOptions, evb: EvbTlv): Uint8Array =>
  lldpduOctets({
    chassisId: lldp.chassisId,
    portId: lldp.portId,
    ttl: lldpTiming.ttlSeconds,
    tlvs: [...lldp.tlvs, evbOptionalTlv(evb)],
  });

/** For ordinary LLDP: what organizations have defined, EVB before all, is said to the nearest customer bridge. */
export const plainLldpdu = ({ lldp: { chassisId, portId, tlvs } }: EdgePortOptions): Uint8Array =>
  lldpduOctets({
    chassisId,
    portId,
    ttl: lldpTiming.ttlSeconds,
    tlvs: tlvs.filter(({ is }) => is !== "organizational"),
  });

/** 802.1AB §9.1.2.2: the mandatory TLVs alone. */
export const lastLldpdu = ({ lldp: { chassisId, portId } }: EdgePortOptions): Uint8Array =>
  lldpduOctets({ chassisId, portId, ttl: 0, tlvs: [] });
