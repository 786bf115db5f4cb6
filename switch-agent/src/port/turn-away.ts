import {
  type Association,
  type Mac,
  type Neighbour,
  uuidFrom,
  type Vdpdu,
  type VdpTlv,
} from "@nve/protocol-spec";
import type { Refusal } from "@nve/switch-agent/nve";
import { reasonBeside } from "./beside.ts";
import type { Refused } from "./options.ts";

/** What a station is told that is turned away, and what is recorded of it. */
export type TurnedAway = { answers: (readonly VdpTlv[])[]; refused: Refused[] };

/**
 * Of a VSI that is another's nothing is said: on a link where all hear all, its owner would take it for an answer. What
 * the station would give back it never had.
 * @param isHeld whether somebody has the VSI
 */
export function turnedAway(
  { tlvs }: Vdpdu,
  station: Mac,
  { code, hard, reason }: Refusal,
  isHeld: (association: Association) => boolean,
  port: { name: string; neighbours: readonly Neighbour[] },
): TurnedAway {
  const status = { is: "response", keep: false, hard, code } as const;
  const told: TurnedAway = { answers: [], refused: [] };
  for (const tlv of tlvs) {
    if (tlv.is !== "association" || tlv.type === "de-associate") continue;
    const { association } = tlv;
    const { vsiId, filters } = association;
    if (association.status.is === "response" || isHeld(association)) continue;
    const answer = { ...association, status };
    const beside = reasonBeside(port.neighbours, station, answer, reason);
    told.answers.push([{ ...tlv, association: answer }, ...beside]);
    told.refused.push({ port: port.name, vnic: uuidFrom(vsiId.octets), filters });
  }
  return told;
}
