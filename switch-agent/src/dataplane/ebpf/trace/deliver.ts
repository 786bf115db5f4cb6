import type { Trace } from "../../trace.ts";
import { destinationOf } from "../../userspace/parse.ts";
import { type KernelPlace, type KernelVn, placeFlag, placeType } from "../maps.ts";
import { encapsulated } from "./encapsulated.ts";
import { exceeded, tagOf, tooBig } from "./room.ts";
import { type Came, placeText, type Story, type View } from "./story.ts";
import { suspended } from "./suspended.ts";

/** To the one place where the MAC is. */
export function deliver(
  view: View,
  story: Story,
  came: Came,
  vn: KernelVn,
  frame: Uint8Array,
  to: KernelPlace,
): Trace {
  const mac = destinationOf(frame);
  const isSuspended = (to.flags & placeFlag.suspended) !== 0 && to.type !== placeType.remoteV4;
  if (isSuspended && to.type !== placeType.remoteV6 && !came.deniedTo) {
    const met = suspended(view, story, came, vn, frame);
    if (met !== undefined) return met;
  }
  if (to.type === placeType.nowhere) {
    return story.drop("port-absent", `${mac} is at a port that is not there`);
  }
  if (to.type === placeType.local) return toPort(view, story, came, frame, to);
  story.say("destination", `${mac} is behind ${to.vtep}`, { mac, where: "remote", vtep: to.vtep });
  if (came.at === undefined) {
    if ((to.flags & placeFlag.inFlight) === 0 || to.vtep === came.vtep) {
      return story.drop("split-horizon", "from the overlay nothing goes back into it");
    }
    story.say("in-flight", "it was here and has moved: on to where it is, with a hop less (M5)");
  }
  const room = vn.mtu > 0 ? exceeded(view, frame, vn.mtu) : undefined;
  if (room !== undefined) return tooBig(view, story, came, frame, room);
  const sent = encapsulated(view, came.vni, frame, to, came.at ? undefined : again);
  if ("room" in sent) return tooBig(view, story, came, frame, sent.room);
  if ("reason" in sent) return story.drop(sent.reason, sent.why);
  story.say("encapsulation", sent.says, sent.facts);
  story.send(sent.output);
  return story.end("forwarded");
}

function toPort(view: View, story: Story, came: Came, frame: Uint8Array, to: KernelPlace): Trace {
  const mac = destinationOf(frame);
  const port = view.nameOf(to.ifindex) ?? view.linkOf(to.ifindex);
  const facts = { mac, where: "local", port, tag: to.vid };
  story.say("destination", `${mac} is at ${placeText(port, to.vid)}`, facts);
  if (came.at?.ifindex === to.ifindex && came.at.vid === to.vid) {
    return story.drop("hairpin", "that is where it comes from");
  }
  if (came.deniedTo) return story.drop("acl", "the VN's profile lets it go to no VNIC");
  story.send({ to: "port", port, tag: tagOf(to.vid) });
  return story.end("forwarded");
}

/** Of a packet that is taken to have come with TTL 64. */
const again = { why: "it comes from the overlay", ttl: 63 };
