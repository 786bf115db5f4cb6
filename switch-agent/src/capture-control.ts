import type grpc from "@grpc/grpc-js";
import { NotFound, Refused } from "@nve/program/errors";
import { statusOf } from "@nve/program/rpc";
import { OutOfRange } from "@nve/protocol-spec";
import type {
  CapturedFrame,
  CaptureRequest,
  CaptureResponse,
} from "@nve/protocol-spec/proto/agent";
import {
  CAPTURE_OCTETS,
  type Capture,
  type Captured,
  type CaptureFilter,
} from "./dataplane/capture.ts";
import { capturedText } from "./dataplane/frame-text.ts";
import type { Nve } from "./local/nve.ts";

type Call = grpc.ServerWritableStream<CaptureRequest, CaptureResponse>;

/** Of each frame, if it is not said: all headers and some content. */
const OCTETS = 256;
/** An Ethernet header. */
const LEAST_OCTETS = 14;

/** `Capture` of agent.proto: until the caller goes. */
export const captureMethod =
  (ready: () => Promise<Nve>) =>
  (call: Call): void => {
    const teller = new Teller(call);
    ready()
      .then((nve) => teller.begin(nve))
      .catch((error: unknown) => call.emit("error", statusOf(error)));
  };

/** Tells one caller. What it does not take in time is lost, and counted. */
class Teller {
  readonly #call: Call;
  #capture: Capture | undefined;
  #gone = false;
  #full = false;
  #lost = 0;

  constructor(call: Call) {
    this.#call = call;
    for (const event of ["cancelled", "error", "close"]) call.on(event, () => this.#end());
    call.on("drain", () => {
      this.#full = false;
    });
  }

  /** @throws OutOfRange, NotFound, Refused */
  begin(nve: Nve): void {
    if (this.#gone || this.#call.cancelled) return;
    const filter = filterOf(nve, this.#call.request);
    const capture = nve.dataplane.capture?.(filter, (frames, lost) =>
      this.#tell(nve, frames, lost),
    );
    if (capture === undefined) {
      throw new Refused(`the dataplane's driver ${nve.driver} cannot show frames`);
    }
    this.#capture = capture;
    this.#call.write({ frames: [], lost: 0n });
  }

  #tell(nve: Nve, frames: readonly Captured[], lost: number): void {
    this.#lost += lost;
    if (this.#full) {
      this.#lost += frames.length;
      return;
    }
    if (frames.length === 0 && this.#lost === 0) return;
    const vns = new Map([...nve.core.infos.values()].map((info) => [info.vni, info]));
    const shown = frames.map((frame) => {
      const info = frame.vni === undefined ? undefined : vns.get(frame.vni);
      return shownFrame(frame, info?.vn ?? 0, info?.alias ?? "");
    });
    this.#full = !this.#call.write({ frames: shown, lost: BigInt(this.#lost) });
    this.#lost = 0;
  }

  #end(): void {
    this.#gone = true;
    this.#capture?.close();
    this.#capture = undefined;
  }
}

function filterOf(nve: Nve, { port, vnId, drops, octets }: CaptureRequest): CaptureFilter {
  if (octets !== 0 && (octets < LEAST_OCTETS || octets > CAPTURE_OCTETS)) {
    throw new OutOfRange(`${octets} octets of a frame: ${LEAST_OCTETS} to ${CAPTURE_OCTETS}`);
  }
  const info = vnId === 0 ? undefined : [...nve.core.infos.values()].find(({ vn }) => vn === vnId);
  if (vnId !== 0 && info === undefined) throw new NotFound(`VN ${vnId} has no members here`);
  return {
    ...(port !== "" && { port }),
    ...(info && { vni: info.vni }),
    ...(drops && { dropsOnly: true }),
    octets: octets === 0 ? OCTETS : octets,
  };
}

function shownFrame(frame: Captured, vnId: number, alias: string): CapturedFrame {
  const { from, to, copies, reason = "", vnic = "", vni = 0 } = frame;
  const isPort = from.is === "port";
  return {
    atUnixNs: frame.atUnixNs,
    link: frame.link,
    from: isPort ? "port" : from.outer ? "underlay" : "overlay",
    ...(isPort && from.tag !== undefined && { tag: from.tag }),
    vtep: (isPort ? undefined : from.vtep) ?? "",
    ...{ vni, vnId, alias, vnic, reason },
    verdict: frame.verdict,
    toPort: to?.is === "port" ? to.port : "",
    toTag: to?.is === "port" ? to.tag : 0,
    toVtep: to?.is === "nve" ? to.vtep : "",
    encapsulation: to?.is === "nve" ? to.encapsulation : "",
    copiesToPorts: copies?.ports ?? 0,
    copiesToNves: copies?.nves ?? 0,
    octets: Buffer.from(frame.octets),
    length: frame.length,
    says: capturedText(frame),
  };
}
