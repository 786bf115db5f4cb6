import { IpAddress, Vid, Vni } from "@nve/protocol-spec";
import type { Trace } from "../../trace.ts";
import { Deciding } from "../../userspace/decision.ts";
import { ETHERNET, etherTypeOf, typeOf } from "../../userspace/parse.ts";
import { Tables } from "../../userspace/tables.ts";
import { answerTo, tooBig as told } from "../../userspace/too-big.ts";
import { bucketOf } from "./buckets.ts";
import type { Came, Story, View } from "./story.ts";

/** @param mtu of the VN, 0: none. @returns how long a packet for the overlay may be, if this one is longer */
export function exceeded(view: View, frame: Uint8Array, mtu: number): number | undefined {
  const octets = frame.length - ETHERNET;
  const device = view.mtu ?? Number.POSITIVE_INFINITY;
  if (mtu > 0 && mtu < device && octets > mtu) return mtu;
  return octets > device ? device : undefined;
}

/** 100 a second of one place are told, 20 at once (programs/toobig.h). */
const TELL_AHEAD_NS = 19 * 10_000_000;

/** It is longer than `room`: its sender is told, if that can be. */
export function tooBig(
  view: View,
  story: Story,
  came: Came,
  frame: Uint8Array,
  room: number,
): Trace {
  const { at } = came;
  const says = `its packet has ${frame.length - ETHERNET} octets, and ${room} is what fits`;
  if (at === undefined || !isTold(view, came, frame, room)) {
    return story.drop("oversize", `${says}; its sender cannot be told`);
  }
  story.say("too-big", `${says}: its sender is told`, { mtu: room });
  story.send({ to: "port", port: at.port, tag: tagOf(at.vid) });
  return story.end("told", "too-big-told");
}

export function isTold(view: View, { vni, at }: Came, frame: Uint8Array, room: number): boolean {
  if (at === undefined) return false;
  const { ifindex, vid } = at;
  const spent = view.maps.buckets.get({ ifindex, vid, kind: bucketOf.telling }) ?? 0;
  return spent - view.now <= TELL_AHEAD_NS && mayBeTold(frame, room, vni);
}

/** Is the sender of a packet told that its host cannot be reached (programs/suspended.h)? */
export function isToldUnreachable(view: View, { vni, at }: Came, frame: Uint8Array): boolean {
  const of = at ?? { ifindex: vni, vid: 0xffff };
  const key = { ifindex: of.ifindex, vid: of.vid, kind: bucketOf.unreachable };
  const spent = view.maps.buckets.get(key) ?? 0;
  const type = etherTypeOf(frame);
  const isIp = type === typeOf.ipv4 || type === typeOf.ipv6;
  return isIp && spent - view.now <= TELL_AHEAD_NS && answerTo(frame, 0) !== undefined;
}

/** The reference is asked. */
function mayBeTold(frame: Uint8Array, room: number, vni: number): boolean {
  const at = { is: "local", port: "", vid: 0 } as const;
  const { drops } = told(noTables(), new Deciding({ vni: Vni(vni), at }, 0), frame, room);
  return drops.includes("too-big-told");
}

const noTables = (): Tables => new Tables(IpAddress("::"), 0);

export const tagOf = (vid: number) => (vid === 0 ? 0 : Vid(vid));
