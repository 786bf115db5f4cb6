import grpc from "@grpc/grpc-js";
import { Refused } from "@nve/program/errors";
import { toJson } from "@nve/program/output";
import { call } from "@nve/program/rpc";
import type { Event, NorthboundClient } from "@nve/protocol-spec/proto/northbound";
import { Command, InvalidArgumentError } from "commander";
import { safe } from "./fields.ts";
import { ask, asking, type Common, type Outside } from "./outside.ts";
import { hasStatus } from "./resources.ts";

type Options = Common & { follow: boolean; after?: bigint; action: string; object: string };

export function eventsCommand(outside: Outside): Command {
  return asking(new Command("events"))
    .description("who changed or attached what, and what was refused and why; oldest first")
    .option("--follow", "go on with what happens, from now on or from --after", false)
    .option("--after <id>", "from the event after this one; 0: from the oldest kept", eventId)
    .option("--action <prefix>", "only actions that begin so, as vnic.", "")
    .option("--object <prefix>", "only objects whose key begins so, as acme/", "")
    .action((options: Options) =>
      ask(outside, options, (nva) =>
        options.follow ? follow(outside, nva, options) : list(outside, nva, options),
      ),
    )
    .addHelpText("after", examples);
}

async function list(outside: Outside, nva: NorthboundClient, options: Options): Promise<void> {
  const all: unknown[] = [];
  let count = 0;
  await eachListed(nva, options, (event) => {
    count += 1;
    if (options.json) all.push(recordOf(event));
    else outside.print(lineOf(event));
  });
  if (options.json) outside.print(toJson(all));
  else if (count === 0) outside.print("no events");
}

/** @returns the id to go on after */
async function eachListed(
  nva: NorthboundClient,
  { after = 0n, action, object }: Options,
  take: (event: Event) => void,
): Promise<bigint> {
  let from = after;
  for (;;) {
    const request = { after: from, pageSize: 1000, action, object };
    const { events, last } = await call(nva, nva.listEvents, request);
    for (const event of events) take(event);
    const seen = events.at(-1)?.id;
    if (seen === undefined) return from === 0n ? last : from;
    from = seen;
  }
}

/**
 * Tells events as they happen, until a signal. When the NVA goes away it goes on after the last event told, as soon as one
 * answers again.
 */
async function follow(outside: Outside, nva: NorthboundClient, options: Options): Promise<void> {
  const { action, object, json } = options;
  const last = await newestId(nva, options); // where nobody answers that is said at once
  let after = options.after ?? last;
  const tell = (event: Event): void => {
    after = event.id;
    outside.print(json ? JSON.stringify(recordOf(event)) : lineOf(event));
  };
  const catchUp = () => answered(() => eachListed(nva, { ...options, after }, tell));
  if (options.after !== undefined) after = await catchUp();
  for (;;) {
    const end = await stream(nva, { after, action, object }, tell);
    if (!isPassing(end)) throw new Refused(end.details, { cause: end });
    outside.note(`the NVA is away, waiting for it (${safe(end.details)})`);
    await pause();
    after = await catchUp();
  }
}

/** From now on is after the newest that there is. */
async function newestId(nva: NorthboundClient, { action, object }: Options): Promise<bigint> {
  return (await call(nva, nva.listEvents, { after: newest, pageSize: 1, action, object })).last;
}

/** No event has a higher id. */
const newest = 2n ** 63n - 1n;

/** Resolves with how it ended: it never ends well. */
function stream(
  nva: NorthboundClient,
  request: { after: bigint; action: string; object: string },
  take: (event: Event) => void,
): Promise<grpc.StatusObject> {
  return new Promise((resolve) => {
    const call = nva.followEvents(request);
    call.on("data", take);
    call.on("error", () => {}); // "status" tells the same
    call.on("status", resolve);
  });
}

const isPassing = ({ code }: grpc.StatusObject): boolean =>
  [grpc.status.UNAVAILABLE, grpc.status.CANCELLED, grpc.status.OK, grpc.status.ABORTED].includes(
    code,
  );

const RETRY_MS = 500;

const pause = (): Promise<void> => new Promise((resolve) => setTimeout(resolve, RETRY_MS));

/** Asks until the NVA answers, with pauses. @throws Refused when it answers that it will not */
async function answered<T>(ask: () => Promise<T>): Promise<T> {
  for (;;) {
    try {
      return await ask();
    } catch (error) {
      const isAway =
        hasStatus(error, grpc.status.UNAVAILABLE) ||
        hasStatus(error, grpc.status.DEADLINE_EXCEEDED);
      if (!isAway) throw error;
    }
    await pause();
  }
}

const recordOf = (event: Event) => ({
  id: Number(event.id),
  at: new Date(Number(event.atUnixMs)).toISOString(),
  actor: event.actor,
  action: event.action,
  object: event.object,
  refused: event.refused,
  reason: event.reason,
  detail: detailOf(event.detail),
  revision: Number(event.revision),
});

function detailOf(json: string): unknown {
  try {
    return json === "" ? {} : JSON.parse(json);
  } catch {
    return json; // not ours to read: told as it is
  }
}

/** `17  2026-01-01T00:00:00.000Z  local  vn.create  acme/blue` and, where it was refused, why. */
function lineOf({ id, atUnixMs, actor, action, object, refused, reason }: Event): string {
  const at = new Date(Number(atUnixMs)).toISOString();
  const words = [String(id).padStart(6), at, actor.padEnd(10), action.padEnd(16), object];
  const why = refused ? ` refused: ${reason}` : reason === "" ? "" : ` (${reason})`;
  return safe(words.join("  ").trimEnd() + why);
}

function eventId(text: string): bigint {
  if (/^\d{1,18}$/.test(text)) return BigInt(text);
  throw new InvalidArgumentError(`"${text}" is not the id of an event: a whole number`);
}

const examples = `
Examples:
  nva events --action vnic.refuse
  nva events --follow --object acme/
  nva events --after 1200 --json`;
