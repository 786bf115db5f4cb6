import type { Clock, Link, LinkState } from "@nve/linux";
import type { Log } from "@nve/program/log";
import type { EvbPolicy, IpAddress, NveId, VnId, VsiAddress } from "@nve/protocol-spec";
import type { Ask, Refusal, StationAsk } from "@nve/switch-agent/nve";
import type { PortAuth } from "./authentic.ts";
import type { PortPolicy } from "./policy.ts";
import type { Names } from "./vn-names.ts";

/** What the record of a refusal says of what was asked. */
export type Refused = Pick<Ask, "port" | "vnic" | "filters">;

export type PortOptions = {
  name: string;
  nve: NveId;
  version: string;
  managementAddress?: IpAddress;
  link: Link;
  clock: Clock;
  policy: EvbPolicy;
  /** How many there may be, 1 … 64: more than one is an access network (H3). */
  stations: number;
  /** Of one VSI: IP addresses, prefixes, and MACs beyond its filter entries. */
  maxAddresses: number;
  /** The ECP sequence number before the first, 0 … 65535, best random. */
  firstSequence: number;
  /** Who and what may be on it; absent: whatever the NVA allows. */
  access?: PortPolicy | undefined;
  /** Stations prove who they are. */
  auth?: PortAuth | undefined;
  log: Log;
  /** Decide, then call `grant` or `refuse`. */
  onAsk(ask: StationAsk, names: Names): void;
  /** The port itself has refused: for the record. */
  onRefused(ask: Refused, refusal: Refusal): void;
  onAddresses(vsi: string, addresses: readonly VsiAddress[]): void;
  /** The station was answered because no decision came in time: what it asked is off. */
  onCancel(vsi: string): void;
  onRelease(vsi: string, why: string): void;
  onState(state: LinkState): void;
  mtuOf(vn: VnId): number | undefined;
};
