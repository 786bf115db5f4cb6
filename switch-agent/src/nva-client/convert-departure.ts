import {
  type Mac,
  macFrom,
  macOctets,
  type Uuid,
  uuidFrom,
  uuidOctets,
  VnId,
} from "@nve/protocol-spec";
import {
  DeparturePhase,
  type NveMessage,
  type Prepared,
  type Departure as ToldDeparture,
  type Departures as ToldDepartures,
} from "@nve/protocol-spec/proto/nve";
import type { Departure, NveEvent, PreparedVnic } from "@nve/switch-agent/nve";
import { attempt } from "./attempt.ts";
import type { Locations } from "./locations.ts";

export const preparedOf = (one: PreparedVnic): Prepared => ({
  vnic: Buffer.from(uuidOctets(one.vnic)),
  hypervisor: one.hypervisor,
  port: one.port,
  migrating: one.migrating,
  addresses: one.addresses.map(({ vn, mac }) => ({ vnId: vn, mac: Buffer.from(macOctets(mac)) })),
});

export const departedOf = (vnics: readonly Uuid[]): NveMessage => ({
  message: {
    $case: "departed",
    value: { vnics: vnics.map((vnic) => Buffer.from(uuidOctets(vnic))) },
  },
});

/** @param odd is told what cannot be, and is left out */
export function departuresOf(
  { all, departures }: ToldDepartures,
  locations: Locations,
  odd: (reason: string) => void,
): NveEvent {
  const known = departures.flatMap(
    (one) => attempt((it) => departureOf(it, locations), one, odd) ?? [],
  );
  return { on: "departures", all, departures: known };
}

/** One whose destination we cannot reach is over: it is served as the stations say. @throws OutOfRange */
function departureOf(one: ToldDeparture, locations: Locations): Departure {
  const vnic: Uuid = uuidFrom(one.vnic);
  const phase = phases[one.phase];
  const to = one.destination && locations.memberAt(one.destination);
  if (phase === undefined || to === undefined) return { vnic, phase: "over" };
  const addresses = one.addresses.map(({ vnId, mac }): { vn: VnId; mac: Mac } => ({
    vn: VnId(vnId),
    mac: macFrom(mac),
  }));
  return { vnic, phase, addresses, to, mostMs: one.mostMs };
}

const phases: Readonly<Record<number, "forwarding" | "settled">> = {
  [DeparturePhase.DEPARTURE_PHASE_FORWARDING]: "forwarding",
  [DeparturePhase.DEPARTURE_PHASE_SETTLED]: "settled",
};
