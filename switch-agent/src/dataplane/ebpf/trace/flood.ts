import type { Trace } from "../../trace.ts";
import { accessFlag, type KernelPlace, type KernelVn, placeType, vnFlag } from "../maps.ts";
import { bucketOf } from "./buckets.ts";
import { encapsulated } from "./encapsulated.ts";
import { exceeded, isTold, tagOf, tooBig } from "./room.ts";
import { type Came, placeText, type Story, type View } from "./story.ts";

/** To all other places of the VN; of one place no more than it may (P12, V11). */
export function flood(
  view: View,
  story: Story,
  came: Came,
  vn: KernelVn,
  frame: Uint8Array,
): Trace {
  if (isOverLimit(view, story, came, vn)) {
    return story.drop("flood-limit", "its bucket is spent just now");
  }
  const room = came.at === undefined ? undefined : exceeded(view, frame, vn.mtu);
  const places = Array.from({ length: vn.n }, (_, at) =>
    view.maps.flood.get({ vni: came.vni, generation: vn.generation, at }),
  ).filter((place) => place !== undefined);
  let isTooLong = false;
  for (const to of places) {
    if (to.type === placeType.local) copyToPort(view, story, came, to);
    else if (came.at === undefined)
      story.say("copy", `not to ${to.vtep}: it comes from the overlay`);
    else if (room !== undefined) isTooLong = true;
    else copyToNve(view, story, came, frame, to);
  }
  if (places.length === 0) story.say("copy", "the VN has no other places");
  if (!isTooLong || room === undefined) return story.end("flooded");
  if (!isTold(view, came, frame, room) && story.hasOutputs) {
    const says = `not to other NVEs: ${room} octets are what fits, and its sender cannot be told`;
    story.say("copy", says, { reason: "oversize" });
    return story.end("flooded");
  }
  return tooBig(view, story, came, frame, room);
}

function isOverLimit({ maps, now }: View, story: Story, { vni, at }: Came, vn: KernelVn): boolean {
  if (at === undefined) return false;
  const buckets = [
    ...((vn.flags & vnFlag.floodLimit) === 0
      ? []
      : [{ whose: "its place", of: vni, vid: at.vid, kind: bucketOf.vn }]),
    ...((at.flags & accessFlag.floodLimit) === 0
      ? []
      : [{ whose: "its port", of: at.ifindex, vid: 0, kind: bucketOf.port }]),
  ];
  return buckets.some(({ whose, of, vid, kind }) => {
    const limit = maps.floodLimits.get({ of, kind });
    if (limit === undefined) return false;
    const spent = maps.buckets.get({ ifindex: at.ifindex, vid, kind }) ?? 0;
    const isOver = spent - now > limit.ahead;
    const perSecond = Math.round(1e9 / limit.interval);
    const says = `${whose} may send ${perSecond} frames a second to all${isOver ? "" : ": there is room"}`;
    story.say("flood-limit", says, { perSecond, passes: !isOver });
    return isOver;
  });
}

function copyToPort(view: View, story: Story, came: Came, to: KernelPlace): void {
  const port = view.nameOf(to.ifindex) ?? view.linkOf(to.ifindex);
  const place = placeText(port, to.vid);
  if (came.at?.ifindex === to.ifindex && came.at.vid === to.vid) return;
  if (came.deniedTo) {
    story.say("copy", `not to ${place}: the VN's profile lets it go to no VNIC`, { reason: "acl" });
    return;
  }
  story.say("copy", `to ${place}`, { port, tag: to.vid });
  story.send({ to: "port", port, tag: tagOf(to.vid) });
}

const copied = { why: "it is one of several copies", ttl: 64 };

function copyToNve(view: View, story: Story, came: Came, frame: Uint8Array, to: KernelPlace): void {
  const sent = encapsulated(view, came.vni, frame, to, copied);
  if ("output" in sent) {
    story.say("copy", `to ${to.vtep}: ${sent.says}`, sent.facts);
    story.send(sent.output);
    return;
  }
  const [reason, why] =
    "room" in sent
      ? ["oversize", "it is longer than the way to it takes"]
      : [sent.reason, sent.why];
  story.say("copy", `not to ${to.vtep}: ${why}`, { reason });
}
