import { Metadata } from "@grpc/grpc-js";
import { ipOctets, macOctets, OutOfRange, type VnId } from "@nve/protocol-spec";
import type { LookupResponse, NveClient } from "@nve/protocol-spec/proto/nve";
import type { RemoteChange } from "@nve/switch-agent/nve";
import type { Answer, Wanted } from "../pull/pull.ts";
import { changeOf, type Self } from "./convert.ts";
import { reasonOf } from "./session.ts";

/** What was asked for, and what is to be believed of it. */
export type Found = Exclude<Answer, { is: "found" }> | (Answer & { is: "found" } & Believed);
type Believed = { change: RemoteChange };

/** How long a "none" is believed, milliseconds: whatever the NVA says, so long at least and at most. */
const NONE_MS = { least: 1000, most: 3_600_000 };

/** Asks the NVA for one address (A18): `unreachable` after `timeoutMs`; never rejects. */
export function lookup(
  client: NveClient,
  self: Self,
  vn: VnId,
  wanted: Wanted,
  { timeoutMs, odd }: { timeoutMs: number; odd: (reason: string) => void },
): Promise<Found> {
  const address =
    "mac" in wanted
      ? ({ $case: "mac", value: Buffer.from(macOctets(wanted.mac)) } as const)
      : ({ $case: "ip", value: Buffer.from(ipOctets(wanted.ip)) } as const);
  const request = { vnId: vn, address };
  return new Promise((resolve) => {
    const deadline = Date.now() + timeoutMs;
    client.lookup(request, new Metadata(), { deadline }, (error, response) => {
      if (error !== null) odd(reasonOf(error));
      resolve(error === null ? foundIn(response, vn, self, odd) : { is: "unreachable" });
    });
  });
}

/** What cannot be read is as if nothing had come. */
function foundIn(
  { answer }: LookupResponse,
  vn: VnId,
  self: Self,
  odd: (reason: string) => void,
): Found {
  if (answer?.$case === "none") {
    const { lifetimeMs } = answer.value;
    return {
      is: "none",
      lifetimeMs: Math.min(Math.max(lifetimeMs, NONE_MS.least), NONE_MS.most),
    };
  }
  if (answer === undefined) return { is: "unreachable" };
  try {
    const { mac, change } = changeOf(vn, answer.value, self);
    return { is: "found", mac, change };
  } catch (error) {
    if (!(error instanceof OutOfRange)) throw error;
    odd(error.message);
    return { is: "unreachable" };
  }
}
