import { Instant } from "../ids.ts";
import { same } from "../same.ts";
import { type Association, VdpError } from "./association.ts";
import type { Filters } from "./filters.ts";
import { answers, namesTags, withGrantedVids } from "./match.ts";
import type { VdpTimes } from "./timers.ts";

/**
 * VDP station side, one VSI (802.1Q §41.5; spec/vdp.md 5). The request is the TLV that is sent now and in
 * every keepalive; the VIDs that the bridge chose are taken into it.
 *
 *   init ─want─► proc ─success─► up ─keepalive timer─► keepalive ─success─► up
 *                 └─refused, timeout─► end                └─refused, timeout─► end
 *   up ─want─► proc ─success, or refused with KEEP─► up
 *   up ─drop─► leaving ─response or timeout─► end        up ─bridge de-associates─► end
 *   proc, up, keepalive ─link up─► proc: everything is sent again
 *
 * A want in `proc` or `keepalive` waits until the answer is there: VDP has no number that would tell which
 * request a response belongs to. A want in `leaving` is ignored: want again after `ended`.
 */
export type Station =
  | { is: "init" }
  | Proc
  | { is: "up"; granted: VsiRequest; deadline: Instant }
  | { is: "keepalive"; granted: VsiRequest; next?: VsiRequest; deadline: Instant }
  | Leaving
  | { is: "end" };
type Proc = {
  is: "proc";
  request: VsiRequest;
  granted?: VsiRequest;
  next?: VsiRequest;
  deadline: Instant;
};
type Leaving = { is: "leaving"; request: VsiRequest; end: Ended; deadline: Instant };

/** What the station asks for; `association.status` is a request's. */
export type VsiRequest = {
  type: "pre-associate" | "pre-associate-rr" | "associate";
  association: Association;
};

export type StationEvent =
  | { on: "want"; request: VsiRequest }
  | { on: "drop" }
  /** Bit 7 of the status is 1, and the key (spec/vdp.md 3) is this VSI's: the caller has looked. */
  | {
      on: "response";
      type: ResponseType;
      association: Association;
      /** What the entries say from now on, where the request named its VNs in another way (name-tlv.ts). */
      inForce?: Filters;
    }
  /** The bridge's own De-Associate (bit 7 of the status is 0). */
  | { on: "order" }
  /** ECP gave up the PDU that carried our request. */
  | { on: "undelivered" }
  | { on: "link-up" }
  | { on: "tick" };

type ResponseType = VsiRequest["type"] | "de-associate";
type Response = Extract<StationEvent, { on: "response" }>;

export type StationAction =
  | { do: "send"; type: ResponseType; association: Association }
  /** Granted, with the VIDs filled in. */
  | { do: "granted"; request: VsiRequest }
  /** The change was refused with KEEP, the older state stays. */
  | { do: "kept"; granted: VsiRequest; code: number }
  | Ended;
type Ended = { do: "ended"; why: StationEnd; code?: number; hard?: boolean };

export type StationEnd = "refused" | "no-answer" | "undelivered" | "mismatch" | "ordered" | "left";

type Step = readonly [Station, ...StationAction[]];

export const stationStart: Station = { is: "init" };

export function stepStation(
  station: Station,
  event: StationEvent,
  now: Instant,
  times: VdpTimes,
): Step {
  switch (event.on) {
    case "want":
      return want(station, event.request, now, times);
    case "drop":
      return drop(station, now, times);
    case "response":
      return respond(station, event, now, times);
    case "order":
      if (station.is === "init" || station.is === "end") return [station];
      return end(station.is === "leaving" ? station.end : { do: "ended", why: "ordered" });
    case "undelivered":
      // What is granted is not lost with one PDU: link up or the response wait decides.
      if (station.is !== "proc" || station.granted !== undefined) return [station];
      return end({ do: "ended", why: "undelivered" });
    case "link-up":
      return again(station, now, times);
    case "tick":
      return tick(station, now, times);
  }
}

function want(station: Station, request: VsiRequest, now: Instant, times: VdpTimes): Step {
  switch (station.is) {
    case "init":
    case "end":
      return ask(request, undefined, now, times);
    case "up":
      return ask(request, station.granted, now, times);
    case "proc":
      return [{ ...station, next: request }];
    case "keepalive":
      return [{ ...station, next: request }];
    case "leaving":
      return [station];
  }
}

function drop(station: Station, now: Instant, times: VdpTimes): Step {
  const left: Ended = { do: "ended", why: "left" };
  switch (station.is) {
    case "init":
      return end(left); // nothing was sent, nothing is to be taken back
    case "proc":
      return leave(station.granted ?? station.request, left, now, times);
    case "up":
    case "keepalive":
      return leave(station.granted, left, now, times);
    case "leaving":
    case "end":
      return [station];
  }
}

function respond(station: Station, event: Response, now: Instant, times: VdpTimes): Step {
  switch (station.is) {
    case "proc":
      return answered(station, event, now, times);
    case "keepalive":
      return keptAlive(station, event, now, times);
    case "leaving":
      // An answer to what was asked before may still come; it changes nothing.
      return event.type === "de-associate" ? end(station.end) : [station];
    case "up":
      return [station]; // what was said twice is answered twice
    case "init":
    case "end":
      return unasked(station, event);
  }
}

/**
 * An answer that comes when nothing is awaited any more: what it grants is given back, or the bridge would hold it, and
 * a tag with it, until its keepalive timeout.
 */
function unasked(station: Station, { type, association }: Response): Step {
  const { status } = association;
  const grants =
    status.is === "response" && status.code === VdpError.success && type !== "de-associate";
  if (!grants) return [station];
  const request = { is: "request", suspended: false, migrating: false, code: 0 } as const;
  const back = { ...association, status: request };
  return [station, { do: "send", type: "de-associate", association: back }];
}

function answered(proc: Proc, event: Response, now: Instant, times: VdpTimes): Step {
  const { request, granted } = proc;
  const { status, filters } = event.association;
  if (status.is !== "response") return [proc];
  if (event.type === "de-associate") return end(refused(status));
  if (!answers(request.association.filters, filters)) return end({ do: "ended", why: "mismatch" });
  // What was said twice is refused twice, and we may ask for other tags since: a refusal fills in no VID.
  if (status.code !== VdpError.success && namesTags(request.association.filters, filters))
    return [proc];
  if (status.code === VdpError.success) {
    const inForce = event.inForce ?? filters;
    const now_ = { ...request, association: { ...request.association, filters: inForce } };
    return settle(now_, proc.next, [{ do: "granted", request: now_ }], now, times);
  }
  // @NOTE lldpad takes KEEP on a new Associate for success; without an older state there is nothing to keep.
  if (!status.keep || granted === undefined) return end(refused(status));
  return settle(granted, proc.next, [{ do: "kept", granted, code: status.code }], now, times);
}

function keptAlive(
  station: Extract<Station, { is: "keepalive" }>,
  event: Response,
  now: Instant,
  times: VdpTimes,
): Step {
  const { granted, next } = station;
  const { status, filters } = event.association;
  if (status.is !== "response") return [station];
  if (event.type === "de-associate") return end(refused(status));
  if (!answers(granted.association.filters, filters)) return end({ do: "ended", why: "mismatch" });
  if (status.code !== VdpError.success) {
    return status.keep ? leave(granted, refused(status), now, times) : end(refused(status));
  }
  if (same(filters, granted.association.filters)) return settle(granted, next, [], now, times);
  const request = { ...granted, association: { ...granted.association, filters } };
  return settle(request, next, [{ do: "granted", request }], now, times);
}

function again(station: Station, now: Instant, times: VdpTimes): Step {
  switch (station.is) {
    case "proc": {
      const [, ...sent] = ask(station.request, station.granted, now, times);
      return [{ ...station, deadline: responseBy(now, times) }, ...sent];
    }
    case "up":
      return ask(station.granted, station.granted, now, times);
    case "keepalive": {
      const [proc, ...sent] = ask(station.granted, station.granted, now, times);
      const { next } = station;
      return [next === undefined || proc.is !== "proc" ? proc : { ...proc, next }, ...sent];
    }
    case "leaving":
      return leave(station.request, station.end, now, times);
    default:
      return [station];
  }
}

function tick(station: Station, now: Instant, times: VdpTimes): Step {
  if (!("deadline" in station) || now < station.deadline) return [station];
  switch (station.is) {
    case "up": {
      const { granted } = station;
      const deadline = responseBy(now, times);
      return [
        { is: "keepalive", granted, deadline },
        { do: "send", ...granted },
      ];
    }
    case "leaving":
      return end(station.end);
    default:
      return end({ do: "ended", why: "no-answer" });
  }
}

function ask(
  wanted: VsiRequest,
  granted: VsiRequest | undefined,
  now: Instant,
  times: VdpTimes,
): Step {
  const request = granted === undefined ? wanted : withVids(wanted, granted);
  const proc: Proc = { is: "proc", request, deadline: responseBy(now, times) };
  return [granted === undefined ? proc : { ...proc, granted }, { do: "send", ...request }];
}

/** Up with `granted`; or on to what was wanted meanwhile. */
function settle(
  granted: VsiRequest,
  next: VsiRequest | undefined,
  actions: readonly StationAction[],
  now: Instant,
  times: VdpTimes,
): Step {
  if (next === undefined) {
    return [{ is: "up", granted, deadline: Instant(now + times.reinitKeepaliveMs) }, ...actions];
  }
  const [proc, ...sent] = ask(next, granted, now, times);
  return [proc, ...actions, ...sent];
}

function leave(request: VsiRequest, why: Ended, now: Instant, times: VdpTimes): Step {
  const { association } = request;
  return [
    { is: "leaving", request, end: why, deadline: responseBy(now, times) },
    { do: "send", type: "de-associate", association },
  ];
}

const end = (why: Ended): Step => [{ is: "end" }, why];

const refused = ({ code, hard }: { code: number; hard: boolean }): Ended => ({
  do: "ended",
  why: "refused",
  code,
  hard,
});

const responseBy = (now: Instant, times: VdpTimes): Instant => Instant(now + times.responseWaitMs);

function withVids(wanted: VsiRequest, { association }: VsiRequest): VsiRequest {
  const filters = withGrantedVids(wanted.association.filters, association.filters);
  return { ...wanted, association: { ...wanted.association, filters } };
}
