import { Instant } from "../ids.ts";
import { same } from "../same.ts";
import { type Association, type Status, VdpError } from "./association.ts";
import type { Filters } from "./filters.ts";
import { answers, asksForGranted } from "./match.ts";
import type { VsiRequest } from "./station.ts";
import type { VdpTimes } from "./timers.ts";

/**
 * VDP bridge side, one VSI (802.1Q §41.5; spec/vdp.md 6). Deciding (who may join, which tag) is not its
 * business: it asks, and answers what it is told, or with an error when the resource wait runs out.
 *
 *   none ─request─► process ─grant─► up ─same request─► up (keepalive)
 *                    │  └─refuse, resource wait─► none, or up with KEEP when there was an older state
 *   up ─other request─► process      up, process ─de-associate, withdraw─► none
 *                                    up ─keepalive timeout─► none
 *
 * A decision that comes too late is ignored: after `release` or the end of the resource wait.
 */
export type BridgeVsi =
  | { is: "none" }
  | Process
  | { is: "up"; granted: VsiRequest; deadline: Instant };
type Process = { is: "process"; request: VsiRequest; older?: VsiRequest; deadline: Instant };

export type BridgeEvent =
  | { on: "request"; request: VsiRequest }
  | { on: "de-associate"; association: Association }
  /** The decision: the request with every VID filled in, in the order asked. */
  | {
      on: "grant";
      association: Association;
      /** What is in force from now on, where the request named its VNs in another way (name-tlv.ts). */
      inForce?: Filters;
    }
  /** `code` of VdpError, not success. `hard`: asking again will not help. */
  | { on: "refuse"; code: number; hard: boolean }
  | { on: "withdraw" }
  /** The times in force are others: what was to last longer under the old ones does not. */
  | { on: "times" }
  | { on: "tick" };

export type BridgeAction =
  /** A new request, or one that differs from what is granted: decide, then feed `grant` or `refuse`. */
  | { do: "decide"; request: VsiRequest; older?: VsiRequest }
  | { do: "respond"; type: VsiRequest["type"] | "de-associate"; association: Association }
  /** Tell the station to drop it (bit 7 = 0). */
  | { do: "order-de-associate"; association: Association }
  /** It is over: give back what `was` holds, and what a decision still pending has set aside. */
  | { do: "release"; why: ReleaseWhy; was: VsiRequest };

export type ReleaseWhy = "de-associated" | "keepalive-timeout" | "withdrawn" | "resource-wait";

type Step = readonly [BridgeVsi, ...BridgeAction[]];

export const bridgeStart: BridgeVsi = { is: "none" };

export function stepBridge(
  vsi: BridgeVsi,
  event: BridgeEvent,
  now: Instant,
  times: VdpTimes,
): Step {
  switch (event.on) {
    case "request":
      return request(vsi, event.request, now, times);
    case "de-associate": {
      const status = answer(VdpError.success);
      const association = { ...event.association, status };
      const gone: BridgeAction = { do: "respond", type: "de-associate", association };
      return [bridgeStart, gone, ...release(vsi, "de-associated")];
    }
    case "grant":
      if (vsi.is !== "process" || !fits(vsi.request, event.association)) return [vsi]; // too late
      return grant(vsi.request, event, now, times);
    case "refuse":
      if (vsi.is !== "process") return [vsi]; // too late
      return refuse(vsi, event.code, event.hard, now, times);
    case "withdraw":
      return [bridgeStart, ...order(vsi), ...release(vsi, "withdrawn")];
    case "times":
      return [sooner(vsi, now, times)];
    case "tick":
      return tick(vsi, now, times);
  }
}

/** A station that said it would be silent for hours has gone with its LLDP, and is waited for no longer than others. */
function sooner(vsi: BridgeVsi, now: Instant, times: VdpTimes): BridgeVsi {
  if (vsi.is === "none") return vsi;
  const waitMs = vsi.is === "up" ? times.keepaliveTimeoutMs : times.resourceWaitMs;
  return { ...vsi, deadline: Instant(Math.min(vsi.deadline, now + waitMs)) };
}

function request(vsi: BridgeVsi, asked: VsiRequest, now: Instant, times: VdpTimes): Step {
  const deadline = Instant(now + times.resourceWaitMs);
  switch (vsi.is) {
    case "none":
      return [
        { is: "process", request: asked, deadline },
        { do: "decide", request: asked },
      ];
    case "process":
      return [vsi]; // a repeat; or it must wait for the answer
    case "up": {
      const older = vsi.granted;
      if (isKeepalive(asked, older)) {
        return [up(older, now, times), respond(older, answer(VdpError.success))];
      }
      return [
        { is: "process", request: asked, older, deadline },
        { do: "decide", request: asked, older },
      ];
    }
  }
}

function grant(
  { type, association }: VsiRequest,
  { association: { filters }, inForce }: BridgeEvent & { on: "grant" },
  now: Instant,
  times: VdpTimes,
): Step {
  const response = respond(
    { type, association: { ...association, filters } },
    answer(VdpError.success),
  );
  const granted = { type, association: { ...association, filters: inForce ?? filters } };
  return [up(granted, now, times), response];
}

function refuse(
  { request, older }: Process,
  code: number,
  hard: boolean,
  now: Instant,
  times: VdpTimes,
): Step {
  const keep = older !== undefined;
  const response = respond(request, answer(code, keep, hard));
  return [keep ? up(older, now, times) : bridgeStart, response];
}

function tick(vsi: BridgeVsi, now: Instant, times: VdpTimes): Step {
  if (vsi.is === "none" || now < vsi.deadline) return [vsi];
  if (vsi.is === "up") {
    return [bridgeStart, ...order(vsi), ...release(vsi, "keepalive-timeout")];
  }
  const [next, response] = refuse(vsi, VdpError.managerUnreachable, false, now, times);
  const over = vsi.older === undefined ? release(vsi, "resource-wait") : [];
  return response === undefined ? [next, ...over] : [next, response, ...over];
}

function up(granted: VsiRequest, now: Instant, times: VdpTimes): BridgeVsi {
  return { is: "up", granted, deadline: Instant(now + times.keepaliveTimeoutMs) };
}

/** The same once more: type, kind, hints and entries; a null VID and the VID assigned are the same entry. */
const isKeepalive = (asked: VsiRequest, { type, association }: VsiRequest): boolean =>
  asked.type === type &&
  same(asked.association.vsiType, association.vsiType) &&
  sameHints(asked.association.status, association.status) &&
  asksForGranted(asked.association.filters, association.filters);

const sameHints = (a: Status, b: Status): boolean =>
  a.is === "request" &&
  b.is === "request" &&
  a.migrating === b.migrating &&
  a.suspended === b.suspended;

const fits = (asked: VsiRequest, decided: Association): boolean =>
  same(asked.association.vsiId, decided.vsiId) &&
  answers(asked.association.filters, decided.filters);

function respond({ type, association }: VsiRequest, status: Status): BridgeAction {
  return { do: "respond", type, association: { ...association, status } };
}

function order(vsi: BridgeVsi): readonly BridgeAction[] {
  const status: Status = { is: "request", suspended: false, migrating: false, code: 0 };
  return held(vsi).map(({ association }) => ({
    do: "order-de-associate",
    association: { ...association, status },
  }));
}

const release = (vsi: BridgeVsi, why: ReleaseWhy): readonly BridgeAction[] =>
  held(vsi).map((was) => ({ do: "release", why, was }));

/** What the station has, or, before the first grant, what it asks for. */
function held(vsi: BridgeVsi): readonly VsiRequest[] {
  if (vsi.is === "none") return [];
  return [vsi.is === "up" ? vsi.granted : (vsi.older ?? vsi.request)];
}

const answer = (code: number, keep = false, hard = false): Status => ({
  is: "response",
  keep,
  hard,
  code,
});
