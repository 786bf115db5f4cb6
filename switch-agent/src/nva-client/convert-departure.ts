import {
  type IpPrefix,
  ipFrom,
  type Mac,
  macFrom,
  macOctets,
  prefixFromOctets,
  type Uuid,
  uuidFrom,
  uuidOctets,
  VnId,
} from "@nve/protocol-spec";
import {
  DeparturePhase,
  type HeldAddress,
  type NveMessage,
  type Prepared,
  type Departure as ToldDeparture,
  type Departures as ToldDepartures,
} from "@nve/protocol-spec/proto/nve";
import { SuspendedMode as WireMode } from "@nve/protocol-spec/proto/types";
import type { Departure, NveEvent, PreparedVnic, SuspendedMode } from "@nve/switch-agent/nve";
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

/** What is said of packets for suspended addresses; of what we do not know, nothing. */
export function suspendedOf({ suspended }: { suspended?: WireMode | undefined }): {
  suspended?: SuspendedMode;
} {
  const mode = suspended === undefined ? undefined : modes[suspended];
  return mode === undefined ? {} : { suspended: mode };
}

const modes: Partial<Record<WireMode, SuspendedMode>> = {
  [WireMode.SUSPENDED_MODE_DELIVER]: "deliver",
  [WireMode.SUSPENDED_MODE_DROP]: "drop",
  [WireMode.SUSPENDED_MODE_UNREACHABLE]: "unreachable",
};

/** One whose destination we cannot reach is over: it is served as the stations say. @throws OutOfRange */
function departureOf(one: ToldDeparture, locations: Locations): Departure {
  const vnic: Uuid = uuidFrom(one.vnic);
  if (one.phase === DeparturePhase.DEPARTURE_PHASE_HELD)
    return { vnic, phase: "held", addresses: one.held.map(heldOf), mostMs: one.mostMs };
  const phase = phases[one.phase];
  const to = one.destination && locations.memberAt(one.destination);
  if (phase === undefined || to === undefined) return { vnic, phase: "over" };
  const addresses = one.addresses.map(({ vnId, mac }): { vn: VnId; mac: Mac } => ({
    vn: VnId(vnId),
    mac: macFrom(mac),
  }));
  return { vnic, phase, addresses, to, mostMs: one.mostMs };
}

const heldOf = ({ vnId, mac, ips, prefixes }: HeldAddress) => ({
  vn: VnId(vnId),
  mac: macFrom(mac),
  ips: [
    ...ips.map((ip): IpPrefix => ipFrom(ip)),
    ...prefixes.map(({ ip, length }) => prefixFromOctets(ip, length)),
  ],
});

const phases: Readonly<Record<number, "forwarding" | "settled">> = {
  [DeparturePhase.DEPARTURE_PHASE_FORWARDING]: "forwarding",
  [DeparturePhase.DEPARTURE_PHASE_SETTLED]: "settled",
};
