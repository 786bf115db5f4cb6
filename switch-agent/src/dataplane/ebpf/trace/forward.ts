import { Vni } from "@nve/protocol-spec";
import type { Trace } from "../../trace.ts";
import { destinationOf, isGroup, isLinkLocal, isTagged, sourceOf } from "../../userspace/parse.ts";
import { type KernelVn, vnFlag } from "../maps.ts";
import { answered } from "./answered.ts";
import { deliver } from "./deliver.ts";
import { flood } from "./flood.ts";
import { byProfile } from "./profile.ts";
import { tagOf } from "./room.ts";
import type { Came, Story, View } from "./story.ts";

/** What both directions do once the VN is known and the frame is bare. */
export function forward(
  view: View,
  story: Story,
  came: Came,
  vn: KernelVn,
  frame: Uint8Array,
): Trace {
  const isAccess = came.at !== undefined;
  if (isTagged(frame)) {
    return isAccess
      ? story.drop("double-tagged", "there is another tag behind that of the port")
      : story.drop("inner-tag", "it is tagged inside the tunnel (RFC 7348 §6.1)");
  }
  if (isGroup(sourceOf(frame))) return story.drop("bad-source", "its source is a group");
  const to = destinationOf(frame);
  if (isLinkLocal(to)) return story.drop("link-local", "bridges forward nothing to this address");
  const profiled = byProfile(view, story, came, vn, frame);
  if (!(profiled instanceof Uint8Array)) return profiled;
  if (isGroup(to)) return toGroup(view, story, came, vn, profiled);
  const known = view.maps.fdb.get({ vni: came.vni, mac: to, zero: 0 });
  if (known !== undefined) return deliver(view, story, came, vn, profiled, known);
  return toUnknown(view, story, came, vn, profiled);
}

function toUnknown(view: View, story: Story, came: Came, vn: KernelVn, frame: Uint8Array): Trace {
  const [to, name] = [destinationOf(frame), view.names.vn(Vni(came.vni))];
  const isAsked = (vn.flags & vnFlag.askUnknown) !== 0 && came.at !== undefined;
  if (isAsked) story.say("pull", `the NVA is asked where ${to} is`, { mac: to });
  if ((vn.flags & vnFlag.floodUnknown) !== 0) {
    story.say("destination", `${to} is not known in ${name}: flooded`, { mac: to, known: false });
    return flood(view, story, came, vn, frame);
  }
  return story.drop(
    "unknown-mac",
    `${to} is not known in ${name}, where unknown ones are not flooded`,
  );
}

function toGroup(view: View, story: Story, came: Came, vn: KernelVn, frame: Uint8Array): Trace {
  const { at } = came;
  if (at !== undefined && (vn.flags & vnFlag.answer) !== 0) {
    const how = answered(view, came.vni, at, frame);
    if (how !== undefined) {
      story.say("answer", how.says, how.facts);
      story.send({ to: "port", port: at.port, tag: tagOf(at.vid) });
      if (!how.goesOn) return story.end("answered");
    }
  }
  story.say("destination", `${destinationOf(frame)} is a group`, { mac: destinationOf(frame) });
  return flood(view, story, came, vn, frame);
}
