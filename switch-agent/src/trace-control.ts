import { Refused } from "@nve/program/errors";
import { IpAddress, OutOfRange, Vni } from "@nve/protocol-spec";
import type { TraceOutput, TraceRequest, TraceResponse } from "@nve/protocol-spec/proto/agent";
import type { TraceOutput as Output, Trace, TraceNames, TraceQuestion } from "./dataplane/trace.ts";
import type { Nve } from "./local/nve.ts";

/** Of what is asked about; IP packets are no longer. */
const MOST_OCTETS = 65_535;

/** `Trace` of agent.proto. @throws OutOfRange, NotFound, Refused */
export function trace(nve: Nve, request: TraceRequest): TraceResponse {
  const question = questionOf(request);
  const { steps, verdict, reason = "", outputs } = tell(nve, question);
  return {
    steps: steps.map(({ at, says, facts }) => ({ at, says, facts: { ...facts } })),
    verdict,
    reason,
    outputs: outputs.map(shownOutput),
  };
}

function tell(nve: Nve, question: TraceQuestion): Trace {
  const { dataplane, driver } = nve;
  const told = dataplane.trace?.(question, namesOf(nve));
  if (told !== undefined) return told;
  throw new Refused(`the dataplane's driver ${driver} cannot tell what becomes of a frame`);
}

/** `VN 5001 (red)`. */
export function namesOf(nve: Nve): TraceNames {
  const infos = new Map([...nve.core.infos.values()].map((info) => [info.vni, info]));
  return {
    vn: (vni) => {
      const info = infos.get(vni);
      if (info === undefined) return "a VN that is not known (any more)";
      return info.alias === "" ? `VN ${info.vn}` : `VN ${info.vn} (${info.alias})`;
    },
  };
}

function questionOf({ port, tag, vtep, vni, encapsulation, frame }: TraceRequest): TraceQuestion {
  if (frame.length > MOST_OCTETS) {
    throw new OutOfRange(`a frame of ${frame.length} octets: ${MOST_OCTETS} at the most`);
  }
  if (port !== "" && vtep !== "") throw new OutOfRange("a port or a VTEP, not both");
  if (port !== "") {
    if (tag !== undefined && tag > 4094) throw new OutOfRange(`tag ${tag}: 0 to 4094`);
    return { from: "port", port, ...(tag !== undefined && { tag }), frame };
  }
  if (vtep === "") throw new OutOfRange("a port, or the VTEP that it comes from");
  const kind = kindOf(encapsulation);
  return { from: "overlay", vtep: IpAddress(vtep), vni: Vni(vni), encapsulation: kind, frame };
}

const kinds = ["vxlan", "nvgre", "mpls-over-gre"] as const;

function kindOf(text: string): (typeof kinds)[number] {
  const kind = text === "" ? "vxlan" : kinds.find((one) => one === text);
  if (kind === undefined) throw new OutOfRange(`encapsulation ${text}: one of ${kinds.join(", ")}`);
  return kind;
}

const nowhere: TraceOutput = {
  ...{ port: "", tag: 0, vtep: "", vni: 0, encapsulation: "", byHand: false, link: "" },
  ...{ destinationMac: "", sourceMac: "", source: "", dscp: 0, ecn: 0, ttl: 0, octets: 0 },
};

function shownOutput(output: Output): TraceOutput {
  if (output.to === "port") return { ...nowhere, port: output.port, tag: output.tag };
  const { vtep, vni, encapsulation, byHand, outer } = output;
  const way = byHand && {
    link: byHand.link,
    destinationMac: byHand.destination,
    sourceMac: byHand.source,
  };
  return { ...nowhere, vtep, vni, encapsulation, byHand: byHand !== undefined, ...way, ...outer };
}
