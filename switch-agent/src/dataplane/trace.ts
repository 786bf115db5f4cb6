import type { IpAddress, Mac, Vni } from "@nve/protocol-spec";
import type { Encapsulation } from "../nve/intents.ts";
import type { PortTag } from "../nve/vsi.ts";

/**
 * A frame that might come in: at an access port, with this tag (absent: with none, 0: with a priority tag) before what
 * `frame` has; or in a tunnel from another NVE, where `frame` is the tenant's.
 */
export type TraceQuestion =
  | { from: "port"; port: string; tag?: number; frame: Uint8Array }
  | {
      from: "overlay";
      vtep: IpAddress;
      vni: Vni;
      encapsulation?: "vxlan" | Encapsulation;
      frame: Uint8Array;
    };

/** What would become of it, decision by decision. */
export type Trace = {
  steps: readonly TraceStep[];
  verdict: TraceVerdict;
  /** Why, of a frame that is dropped, or whose sender is told that it is too long: a drop reason. */
  reason?: string;
  outputs: readonly TraceOutput[];
};

/**
 * `forwarded` to one place, `flooded` to several (or none), `answered` to where it came from, `told` that it is too long,
 * `dropped`; `agent`: left to the agent's own sockets; `kernel`: no tunnel that is taken here.
 */
export type TraceVerdict =
  | "forwarded"
  | "flooded"
  | "answered"
  | "told"
  | "dropped"
  | "agent"
  | "kernel";

/** One decision: `at` says which, `says` it in words, `facts` for programs. */
export type TraceStep = { at: string; says: string; facts: Readonly<Record<string, string>> };

/** Where (a copy of) it would go. */
export type TraceOutput =
  | { to: "port"; port: string; tag: PortTag }
  | {
      to: "nve";
      vtep: IpAddress;
      vni: Vni;
      encapsulation: "vxlan" | Encapsulation;
      /** Absent: by the kernel's tunnel device, which finds the way itself. */
      byHand?: { link: string; destination: Mac; source: Mac };
      /** Of the outer IP packet. */
      outer: { source: IpAddress; dscp: number; ecn: number; ttl: number; octets: number };
    };

/** How people call what the dataplane knows by number. */
export type TraceNames = { vn(vni: Vni): string };
