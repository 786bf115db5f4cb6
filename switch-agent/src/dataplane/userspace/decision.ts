import type { Vni } from "@nve/protocol-spec";
import type { Sample } from "../../nve/glean.ts";
import type { AccessIntent, LocalPlace } from "../../nve/intents.ts";
import type { DataplaneCounters } from "../dataplane.ts";
import type { dropReasons } from "../ebpf/maps.ts";

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
  seen: Sample[];
  wanted: Sample[];
};

export const nothing = (): Decision => ({
  outputs: [],
  drops: [],
  counts: [],
  seen: [],
  wanted: [],
});

/** Where a frame came in: at an access, or from another NVE. */
export type From = { vni: Vni; at?: LocalPlace; access?: AccessIntent };

/** Adds to a decision. `now`: nanoseconds of any clock that only goes forward. */
export class Deciding {
  readonly decision = nothing();
  readonly from: From;
  readonly now: number;

  constructor(from: From, now: number) {
    this.from = from;
    this.now = now;
  }

  drop(reason: Reason): Decision {
    this.decision.drops.push(reason);
    return this.decision;
  }

  count(what: Direction): void {
    this.decision.counts.push({ vni: this.from.vni, what });
  }

  send(output: Output): Decision {
    this.decision.outputs.push(output);
    this.count(output.to === "port" ? "accessOut" : "overlayOut");
    return this.decision;
  }
}
