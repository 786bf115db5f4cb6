import type { Trace } from "../../trace.ts";
import { destinationOf, sourceOf } from "../../userspace/parse.ts";
import { answerTo } from "../../userspace/too-big.ts";
import { type KernelPlace, type KernelVn, placeType, vnFlag } from "../maps.ts";
import { encapsulated } from "./encapsulated.ts";
import { isToldUnreachable, tagOf } from "./room.ts";
import type { Came, Story, View } from "./story.ts";

/** For a MAC that is suspended (programs/suspended.h). @returns undefined: in this VN that is no matter */
export function suspended(
  view: View,
  story: Story,
  came: Came,
  vn: KernelVn,
  frame: Uint8Array,
): Trace | undefined {
  const says = `${destinationOf(frame)} is suspended, or has left and is nowhere yet`;
  if ((vn.flags & vnFlag.tellSuspended) === 0) {
    if ((vn.flags & vnFlag.dropSuspended) === 0) return undefined;
    return story.drop("suspended", `${says}: in this VN packets to it are dropped`);
  }
  const sender = came.at ?? behind(view, came, frame);
  const answer = answerTo(frame, 0);
  if (sender === undefined || answer === undefined || !isToldUnreachable(view, came, frame))
    return story.drop("suspended", `${says}; its sender cannot be told`);
  story.say("suspended", `${says}: its sender is told that it cannot be reached`);
  if ("port" in sender) {
    story.send({ to: "port", port: sender.port, tag: tagOf(sender.vid) });
    return story.end("told", "suspended-told");
  }
  const sent = encapsulated(view, came.vni, answer, sender, byDevice);
  if ("room" in sent) return story.drop("oversize", "there is no room for the answer");
  if ("reason" in sent) return story.drop(sent.reason, sent.why);
  story.say("encapsulation", sent.says, sent.facts);
  story.send(sent.output);
  return story.end("told", "suspended-told");
}

/** Its sender, at another NVE. */
function behind(view: View, { vni }: Came, frame: Uint8Array): KernelPlace | undefined {
  const at = view.maps.fdb.get({ vni, mac: sourceOf(frame), zero: 0 });
  return at?.type === placeType.remoteV4 || at?.type === placeType.remoteV6 ? at : undefined;
}

const byDevice = { why: "it is an answer", ttl: 64 };
