import type { IpAddress, Uuid, Vni } from "@nve/protocol-spec";
import type { Encapsulation } from "../nve/intents.ts";
import type { PortTag } from "../nve/vsi.ts";
import type { TraceVerdict } from "./trace.ts";

/** Which frames somebody wants to see; absent: all. */
export type CaptureFilter = {
  /** Those that come in there, or go out there alone. */
  port?: string;
  vni?: Vni;
  dropsOnly?: boolean;
  /** Of each frame, at the most: 14 to 2,048. */
  octets: number;
};

/** The longest part of a frame that is captured, octets. */
export const CAPTURE_OCTETS = 2048;

/** A frame as it came in, and what became of it. */
export type Captured = {
  /** Nanoseconds since 1970. */
  atUnixNs: bigint;
  /** The interface at which it came in. */
  link: string;
  /** `outer`: it is the underlay's packet, with the tenant's in it. `vtep` is not known of a tunnel that is none. */
  from: { is: "port"; tag?: number } | { is: "overlay"; vtep?: IpAddress; outer: boolean };
  vni?: Vni;
  vnic?: Uuid;
  /** With its tag; `length` octets it had. */
  octets: Uint8Array;
  length: number;
  verdict: TraceVerdict;
  /** A drop reason. */
  reason?: string;
  /** The one place that it was for. */
  to?:
    | { is: "port"; port: string; tag: PortTag }
    | { is: "nve"; vtep: IpAddress; encapsulation: "vxlan" | Encapsulation };
  /** Of a flood: how many went out of ports here, and to other NVEs. */
  copies?: { ports: number; nves: number };
};

/** @param lost frames since the last time that were wanted, and too many */
export type HearCaptured = (frames: readonly Captured[], lost: number) => void;

/** Frames are told until it is closed. */
export type Capture = { close(): void };
