import { type Clock, type Driven, drive } from "@nve/linux";
import {
  type BridgeAction,
  type BridgeEvent,
  type BridgeVsi,
  bridgeStart,
  type Mac,
  type Neighbour,
  printable,
  stepBridge,
  uuidFrom,
  type VdpTimes,
  type VdpTlv,
  type VsiAddress,
  type VsiLabels,
  type VsiRequest,
} from "@nve/protocol-spec";
import type { StationAsk } from "@nve/switch-agent/nve";
import type { Answer } from "./answers.ts";
import { hypervisorOf } from "./names.ts";
import type { Said } from "./sets.ts";
import type { Names } from "./vn-names.ts";

/** A VSI of one station on one port: its VDP machine, and what its requests have said beside. */
export type Vsi = {
  readonly key: string;
  readonly manager: Uint8Array;
  readonly machine: Driven<BridgeVsi, BridgeEvent>;
  station: Mac;
  addresses: readonly VsiAddress[] | undefined;
  /** What was said of it in sets, the latest first: the one in force, and the one that is asked for. */
  said: readonly Said[];
  /** Filter entries of its last request, which an answer repeats. */
  entries: number;
  /** A decision is asked for and not there yet. */
  deciding: boolean;
  answer: Answer | undefined;
  /** What the VNs of its request are called, where that is no VN ID. */
  names: Names;
  labels: VsiLabels | undefined;
  /** Whose it is (door.ts). */
  owner: Owner | undefined;
  /** Why it is refused or withdrawn, in words: for what the station is told next. */
  why: string | undefined;
  /** What goes beside the answer to be given next. */
  beside: readonly VdpTlv[];
};

/** `neighbour`: as LLDP named it at this address. `proven`: authenticated. */
export type Owner = { station: Mac; neighbour: string | undefined; proven: boolean };

export type VsiOptions = {
  key: string;
  manager: Uint8Array;
  station: Mac;
  clock: Clock;
  times(): VdpTimes;
  perform(vsi: Vsi, action: BridgeAction): void;
};

export function openVsi({ key, manager, station, clock, times, perform }: VsiOptions): Vsi {
  const machine = drive<BridgeVsi, BridgeEvent, BridgeAction>(
    bridgeStart,
    (state, event, now) => stepBridge(state, event, now, times()),
    clock,
    (action) => perform(vsi, action),
  );
  const vsi: Vsi = {
    key,
    manager: Uint8Array.from(manager),
    machine,
    station,
    addresses: undefined,
    said: [],
    entries: 0,
    deciding: false,
    answer: undefined,
    names: new Map(),
    labels: undefined,
    owner: undefined,
    why: undefined,
    beside: [],
  };
  return vsi;
}

/** What came in parts is not asked for again while it is in force. */
export function remember(vsi: Vsi, said: Said): void {
  if (said.set === undefined) return;
  vsi.said = [said, ...vsi.said.filter((one) => one !== said)].slice(0, 2);
}

/** A request in the words of the NVE core. */
export function askOf(
  vsi: Vsi,
  { type, association }: VsiRequest,
  port: string,
  neighbours: readonly Neighbour[],
): StationAsk {
  const { status, vsiId, filters } = association;
  const { key, station, labels, addresses, owner } = vsi;
  const vm = printable(labels?.vm ?? "");
  return {
    vsi: key,
    port,
    vnic: uuidFrom(vsiId.octets),
    station,
    ...(owner?.proven && { authenticated: true }),
    hypervisor: hypervisorOf(neighbours, station, labels?.hypervisor),
    ...(vm !== "" && { vm }),
    mode: type,
    suspended: status.is === "request" && status.suspended,
    ...(status.is === "request" && status.migrating && { migrating: true }),
    filters,
    ...(addresses === undefined ? {} : { addresses }),
  };
}
