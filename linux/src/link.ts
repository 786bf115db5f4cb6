import type { Mac } from "@nve/protocol-spec";
import type { ControlFrames } from "./control-frames.ts";

/**
 * A port that control frames go in and out of. Two drivers pass one suite, test/contracts/link.ts: the native
 * packet socket and npm `pcap`. An interface that is not there yet, goes down, or is deleted and made again is
 * a state, not an error: the link says so and carries on by itself.
 */
export interface Link {
  readonly name: string;
  /** "absent": no such interface; "down": there, but no carrier or not up. */
  readonly state: LinkState;
  /** The interface's own address, while it is there. */
  readonly mac: Mac | undefined;
  /** Sends one frame as it is (with its tag, without FCS). `false`: not sent, counted in `dropped`. */
  send(frame: Uint8Array): boolean;
  /** Frames that came in, tags in place; never our own. The octets are the receiver's to keep. */
  onFrame(deliver: (frame: Uint8Array) => void): void;
  onState(changed: (state: LinkState) => void): void;
  /** Since the start. */
  readonly dropped: Losses & { out: number };
  /** At once, also when idle; nothing is delivered afterwards. */
  close(): void;
}

export type LinkState = "absent" | "down" | "up";

/**
 * Frames that were not delivered, by reason. `in`: lost on the way in, because they came faster than they were taken
 * and the kernel's buffer was full; of them `droppedLldp` and `droppedEcp` on links of control protocols. `stray`: of
 * a control protocol, but with an address, a tag or a length that none of its frames has. `out`: not sent, link down.
 */
export type Losses = { in: number } & Readonly<Record<string, number>>;

/**
 * Which frames the link delivers: all of an EtherType, or those of a control protocol (control-frames.ts), at a limited
 * rate. All else stays in the kernel.
 */
export type LinkOptions = { interface: string; etherTypes: readonly (number | ControlFrames)[] };
