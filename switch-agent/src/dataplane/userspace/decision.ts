import type { IpAddress, Uuid, Vni } from "@nve/protocol-spec";
import type { Sample } from "../../nve/glean.ts";
import type { AccessIntent, LocalPlace } from "../../nve/intents.ts";
import type { DataplaneCounters, Metered } from "../dataplane.ts";
import type { dropReasons } from "../ebpf/maps.ts";
import type { MeterOf, Reading } from "./meters.ts";

export type Reason = (typeof dropReasons)[number] | "not-sent";
export type Direction = Exclude<keyof DataplaneCounters["vns"][number], "vni">;

/** A whole frame, out of an access port or out of an interface of the underlay. */
export type Output =
  | { to: "port"; port: string; frame: Uint8Array }
  | { to: "underlay"; link: number; frame: Uint8Array };

/** All that becomes of one frame. No output and no drop: it is the kernel's own. */
export type Decision = {
  outputs: Output[];
  drops: Reason[];
  counts: { vni: Vni; what: Direction }[];
  metered: Reading[];
  seen: Sample[];
  wanted: Sample[];
};

export const nothing = (): Decision => ({
  outputs: [],
  drops: [],
  counts: [],
  metered: [],
  seen: [],
  wanted: [],
});

/** Where a frame came in: at an access, or from another NVE. */
export type From = {
  vni: Vni;
  at?: LocalPlace;
  access?: AccessIntent;
  vtep?: IpAddress;
  ttl?: number;
};

/** Of what came in, and where it is counted that it was dropped. What is no more than malformed is nobody's. */
const slots: Partial<Record<Reason, MeterOf>> = {
  acl: "acl",
  policed: "policed",
  "unknown-source": "spoofed",
  "spoofed-ip": "spoofed",
  "flood-limit": "dropped",
  hairpin: "dropped",
  "hop-limit": "dropped",
  oversize: "dropped",
  "port-absent": "dropped",
  "split-horizon": "dropped",
  suspended: "dropped",
  "suspended-told": "dropped",
  "too-big-told": "dropped",
  "unknown-mac": "dropped",
};

/** Adds to a decision. `now`: nanoseconds of any clock that only goes forward. */
export class Deciding {
  readonly decision = nothing();
  readonly from: From;
  readonly now: number;
  /** Whose frame it is, if its source is at home where it came in. */
  vnic: Uuid | undefined;
  /** The ACL says so. */
  mayReachVnics = true;

  constructor(from: From, now: number) {
    this.from = from;
    this.now = now;
  }

  drop(reason: Reason): Decision {
    this.decision.drops.push(reason);
    const slot = slots[reason];
    if (slot !== undefined) this.#ofSource(slot, 0);
    return this.decision;
  }

  count(what: Direction): void {
    this.decision.counts.push({ vni: this.from.vni, what });
  }

  /** The bare frame, as it was taken in. */
  cameIn(frame: Uint8Array): void {
    this.#ofSource("in", frame.length);
  }

  /** @param frame bare */
  goesTo(of: Metered, frame: Uint8Array): void {
    this.decision.metered.push({ of, what: "out", octets: frame.length });
  }

  send(output: Output): Decision {
    this.decision.outputs.push(output);
    this.count(output.to === "port" ? "accessOut" : "overlayOut");
    return this.decision;
  }

  #ofSource(what: MeterOf, octets: number): void {
    const { vni, at, vtep } = this.from;
    const { metered } = this.decision;
    if (this.vnic) metered.push({ of: { is: "vnic", vni, vnic: this.vnic }, what, octets });
    if (at) metered.push({ of: { is: "port", port: at.port }, what, octets });
    if (vtep) metered.push({ of: { is: "peer", vtep }, what, octets });
  }
}
