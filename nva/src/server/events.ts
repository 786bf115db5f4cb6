import grpc from "@grpc/grpc-js";
import { turn } from "@nve/linux/turn";
import { unary } from "@nve/program";
import { OutOfRange } from "@nve/protocol-spec";
import type * as wire from "@nve/protocol-spec/proto/northbound";
import { somebody } from "../authority/audit.ts";
import { blockDigits } from "../authority/event-block.ts";
import { eventKey } from "../authority/events.ts";
import type { EventRow, Revised } from "../authority/records.ts";
import { eventsOf } from "../store/rows.ts";
import { fromText } from "./convert.ts";
import type { Closable, Hub } from "./hub.ts";
import { actorOf, identityOf } from "./identity.ts";
import { CallerGone, type Decide, type Keeper } from "./keeper.ts";

/** Who calls: by which name, and whether it has given up, or its deadline is over. */
export type Caller = { readonly name: string; readonly isGone: boolean };

/**
 * Whoever made a change, in the events of it. Nothing is changed for one who has given up: a process that stood still finds
 * calls in its sockets whose callers have long done something else. @throws CallerGone
 */
export const actedBy =
  <T>(caller: Caller, decide: Decide<T>): Decide<T> =>
  (authority, now) => {
    if (caller.isGone) throw new CallerGone("the caller has given up");
    const step = decide(authority, now);
    if (step.events === undefined) return step;
    const { name: actor } = caller;
    const events = step.events.map((one) => (one.actor === somebody ? { ...one, actor } : one));
    return { ...step, events };
  };

/** A unary handler that is told who calls. */
export const acting =
  <Req, Res>(
    handler: (request: Req, caller: Caller) => Promise<Res> | Res,
  ): grpc.handleUnaryCall<Req, Res> =>
  (call, done) =>
    unary(async (request: Req) => {
      await turn(); // that it was cancelled may come right behind it
      const name = actorOf(identityOf(call));
      return handler(request, {
        name,
        get isGone() {
          return call.cancelled;
        },
      });
    })(call, done);

type Filter = { action: string; object: string };
/** Events read from the store at a time: those whose numbers begin alike but for the last digits. */
const page = 10 ** blockDigits;

/** Oldest first, page by page: others have their turn between. `last` is the newest there is, whether it fits or not. */
export async function listEvents(
  hub: Hub,
  request: wire.ListEventsRequest,
): Promise<wire.ListEventsResponse> {
  const filter = filterOf(request);
  if (request.pageSize > 1000) throw new OutOfRange(`page_size: ${request.pageSize} is above 1000`);
  const size = request.pageSize === 0 ? 100 : request.pageSize;
  const events: wire.Event[] = [];
  const last = await hub.keeper.ask((all) => all.events.last);
  let after = Number(request.after);
  while (events.length < size && after < last) {
    const rows = await rowsAfter(hub.keeper, after);
    if (rows.length === 0) break;
    for (const event of rows) {
      after = event.row.id;
      if (fits(event.row, filter)) events.push(toEvent(event));
      if (events.length >= size) break;
    }
  }
  return { events, last: BigInt(last) };
}

/** The next ones after this number: from memory if it reaches back so far, else a page of the store's. */
async function rowsAfter(keeper: Keeper, after: number): Promise<readonly Revised<EventRow>[]> {
  const { from, recent } = await keeper.ask(({ events }) => ({
    from: Math.max(after + 1, events.oldest),
    recent: events.since(after),
  }));
  if (recent !== undefined) return recent.slice(0, page);
  const rows: Revised<EventRow>[] = [];
  const prefix = eventKey(from).slice(0, -blockDigits);
  for await (const row of keeper.store.list("event", prefix))
    for (const event of eventsOf(row)) if (event.row.id >= from) rows.push(event);
  // They may have been let go of meanwhile.
  return rows.length > 0 ? rows : rowsAfter(keeper, nextPage(from) - 1);
}

const nextPage = (id: number): number => (Math.floor(id / page) + 1) * page;

export type FollowCall = grpc.ServerWritableStream<wire.FollowEventsRequest, wire.Event>;

/**
 * One FollowEvents call. It keeps a number, not a queue: what a slow reader has not had yet is read again when it takes
 * more, so it costs no memory; what was let go of meanwhile it misses.
 */
export class Follower implements Closable {
  readonly #call: FollowCall;
  readonly #hub: Hub;
  readonly #filter: Filter;
  #after: number;
  #busy = false;
  #again = false;
  #closed = false;
  #wake = (): void => {};

  constructor(call: FollowCall, hub: Hub, filter: Filter, after: number) {
    this.#call = call;
    this.#hub = hub;
    this.#filter = filter;
    this.#after = after;
    hub.calls.add(this);
    hub.followers.add(this);
    call.on("cancelled", () => this.close(grpc.status.CANCELLED, ""));
    call.on("error", () => this.close(grpc.status.CANCELLED, ""));
    call.on("drain", () => this.#wake());
    this.more();
  }

  /** There are new events. */
  more(): void {
    if (this.#busy) {
      this.#again = true;
      return;
    }
    this.#busy = true;
    this.#run().catch((error: unknown) => {
      this.#hub.log.error({ err: error }, "events cannot be read");
      this.close(grpc.status.INTERNAL, "events cannot be read");
    });
  }

  close(code: grpc.status, reason: string): void {
    if (this.#closed) return;
    this.#closed = true;
    this.#hub.calls.delete(this);
    this.#hub.followers.delete(this);
    this.#wake();
    if (code !== grpc.status.CANCELLED) this.#call.emit("error", { code, details: reason });
  }

  async #run(): Promise<void> {
    do {
      this.#again = false;
      const rows = await rowsAfter(this.#hub.keeper, this.#after);
      for (const event of rows) {
        if (this.#closed) return;
        this.#after = event.row.id;
        if (fits(event.row, this.#filter)) await this.#write(toEvent(event));
      }
      if (rows.length > 0) this.#again = true;
    } while (this.#again && !this.#closed);
    this.#busy = false; // at once: who says now that there is more is heard
  }

  async #write(event: wire.Event): Promise<void> {
    if (this.#call.write(event)) return;
    await new Promise<void>((resolve) => {
      this.#wake = resolve;
    });
  }
}

/** Calls of FollowEvents at a time. */
const followers = 1_000;

export async function followEvents(call: FollowCall, hub: Hub): Promise<void> {
  try {
    const filter = filterOf(call.request);
    if (hub.followers.size >= followers)
      throw new OutOfRange(`${followers} follow the events of this NVA already`);
    const newest = await hub.keeper.ask(({ events }) => events.last);
    const { after } = call.request;
    if (!call.cancelled)
      new Follower(
        call,
        hub,
        filter,
        after === undefined ? newest : Math.min(Number(after), newest),
      );
  } catch (error) {
    const details = error instanceof Error ? error.message : String(error);
    const isTheirs = error instanceof OutOfRange;
    const code = isTheirs ? grpc.status.INVALID_ARGUMENT : grpc.status.UNAVAILABLE;
    call.emit("error", { code, details });
  }
}

const filterOf = ({ action, object }: { action: string; object: string }): Filter => ({
  action: fromText(action, "action"),
  object: prefixOf(object),
});

/** "tenant/alias/mac" is longer than other texts. */
function prefixOf(object: string): string {
  if (object.length > 256) throw new OutOfRange("object: at most 256 characters");
  return object;
}

const fits = (row: EventRow, { action, object }: Filter): boolean =>
  row.action.startsWith(action) && row.object.startsWith(object);

function toEvent({ row, revision }: Revised<EventRow>): wire.Event {
  const { id, atUnixMs, actor, action, object, refused, detail } = row;
  const { reason = "" } = detail ?? {};
  return {
    id: BigInt(id),
    atUnixMs: BigInt(Math.round(atUnixMs)),
    actor,
    action,
    object,
    refused: refused !== undefined,
    reason: refused ?? String(reason),
    detail: detail === undefined ? "" : JSON.stringify(detail),
    revision: BigInt(revision),
  };
}
