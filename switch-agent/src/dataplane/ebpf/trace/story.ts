import type { IpAddress } from "@nve/protocol-spec";
import type { Trace, TraceNames, TraceOutput, TraceStep, TraceVerdict } from "../../trace.ts";
import type { dropReasons, TorMaps } from "../maps.ts";
import type { BucketMaps } from "./buckets.ts";

type Reason = (typeof dropReasons)[number] | "not-sent";
type Facts = Readonly<Record<string, string | number | boolean>>;

/** What a trace looks at: the kernel's maps, and how interfaces are called. */
export type View = {
  maps: TorMaps & BucketMaps;
  /** Of access ports. */
  indexOf(port: string): number | undefined;
  nameOf(ifindex: number): string | undefined;
  /** Of any interface. */
  linkOf(ifindex: number): string;
  /** The longest packet of a tenant that the tunnel device takes, octets. */
  mtu: number | undefined;
  names: TraceNames;
  /** Nanoseconds of the kernel's monotonic clock. */
  now: number;
};

/** Where the frame came in, as far as it is known: at an access, or from another NVE. */
export type Came = {
  vni: number;
  at?: { port: string; ifindex: number; vid: number; flags: number };
  vtep?: IpAddress;
  /** The number of its VNIC's meter; 0: of none that is known. */
  owner: number;
  /** An ACL lets it go to no VNIC. */
  deniedTo: boolean;
};

/** A trace as it is told. */
export class Story {
  readonly #steps: TraceStep[] = [];
  readonly #outputs: TraceOutput[] = [];

  say(at: string, says: string, facts: Facts = {}): void {
    const texts = Object.entries(facts).map(([name, value]) => [name, String(value)] as const);
    this.#steps.push({ at, says, facts: Object.fromEntries(texts) });
  }

  send(output: TraceOutput): void {
    this.#outputs.push(output);
  }

  get hasOutputs(): boolean {
    return this.#outputs.length > 0;
  }

  /** @param why what the reason means here */
  drop(reason: Reason, why: string): Trace {
    this.say("dropped", why, { reason });
    return this.end("dropped", reason);
  }

  end(verdict: TraceVerdict, reason?: Reason): Trace {
    const outputs = verdict === "dropped" ? [] : this.#outputs;
    return { steps: this.#steps, verdict, ...(reason !== undefined && { reason }), outputs };
  }
}

export const placeText = (port: string, vid: number): string =>
  `${port}, ${vid === 0 ? "no tag" : `tag ${vid}`}`;
