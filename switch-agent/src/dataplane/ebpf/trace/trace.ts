import { NotFound } from "@nve/program/errors";
import { type IpAddress, Vni } from "@nve/protocol-spec";
import { frameText } from "../../frame-text.ts";
import type { Trace, TraceQuestion } from "../../trace.ts";
import {
  destinationOf,
  ETHERNET,
  etherTypeOf,
  has,
  isLinkLocal,
  isTagged,
  sourceOf,
  typeOf,
} from "../../userspace/parse.ts";
import { accessFlag, configFlag, type KernelPlace, placeFlag, placeType } from "../maps.ts";
import { Meters } from "../meters.ts";
import { forward } from "./forward.ts";
import { ownedBy } from "./owned.ts";
import { type Came, placeText, Story, type View } from "./story.ts";

/**
 * What the programs would make of a frame, told from the kernel's maps themselves: the same questions in the same order
 * as programs/tor.bpf.c, a few look-ups each. Nothing is changed, counted or learnt by it.
 * @throws NotFound of a port without the programs
 */
export function traceFrame(view: View, question: TraceQuestion): Trace {
  const story = new Story();
  return question.from === "port"
    ? fromPort(view, story, question)
    : fromOverlay(view, story, question);
}

/** Octets of an Ethernet header with a tag. */
const TAGGED = 18;

type Of<From extends TraceQuestion["from"]> = Extract<TraceQuestion, { from: From }>;

function fromPort(view: View, story: Story, { port, tag, frame }: Of<"port">): Trace {
  const ifindex = view.indexOf(port);
  if (ifindex === undefined)
    throw new NotFound(`no access port ${port} is there: \`switch-agent show ports\` has them all`);
  const tagText = tag === undefined ? "no tag" : tag === 0 ? "a priority tag" : `tag ${tag}`;
  story.say("frame", `${frameText(frame)}, at ${port} with ${tagText}`, {
    port,
    tag: tag ?? "none",
  });
  if (!has(frame, ETHERNET)) return story.drop("malformed", "it is cut off in its addresses");
  if (tag === undefined && isLinkLocal(destinationOf(frame))) {
    story.say("agent", "LLDP and ECP of the link are the agent's own");
    return story.end("agent");
  }
  const vid = tag ?? 0;
  const access = view.maps.access.get({ ifindex, vid, zero: 0 });
  if (access === undefined)
    return noAccess(story, { port, ...(tag !== undefined && { tag }), frame });
  const vn = view.maps.vns.get(access.vni);
  const facts = { port, tag: vid, vni: access.vni };
  story.say("access", `${placeText(port, vid)}: ${vnText(view, access.vni)}`, facts);
  if (vn === undefined) return story.drop("no-vn", `VNI ${access.vni} is not set up (yet)`);
  if (tag !== undefined && isTagged(frame) && !has(frame, TAGGED)) {
    return story.drop("malformed", "it is cut off in its second tag");
  }
  const at = { port, ifindex, vid, flags: access.flags };
  const came: Came = { vni: access.vni, at, owner: 0, deniedTo: false };
  const refused = checkSource(view, story, came, frame);
  return refused ?? forward(view, story, came, vn, frame);
}

const vnText = (view: View, vni: number): string => `${view.names.vn(Vni(vni))}, VNI ${vni}`;

function noAccess(
  story: Story,
  { port, tag, frame }: { port: string; tag?: number; frame: Uint8Array },
): Trace {
  if (tag) return story.drop("no-such-tag", `tag ${tag} is not lent on ${port}`);
  const type = etherTypeOf(frame);
  if (type === typeOf.lldp || type === typeOf.ecp) {
    story.say("agent", "LLDP and ECP to the port's own address are the agent's own");
    return story.end("agent");
  }
  const why = `no VN has the frames without a tag on ${port}`;
  return story.drop(tag === undefined ? "untagged" : "priority-tagged", why);
}

/** Whose frame it is, and whether the access lets it in. */
function checkSource(view: View, story: Story, came: Came, frame: Uint8Array): Trace | undefined {
  const { at, vni } = came;
  if (at === undefined) return undefined;
  const mac = sourceOf(frame);
  const known = view.maps.fdb.get({ vni, mac, zero: 0 });
  const isHome =
    known?.type === placeType.local && known.ifindex === at.ifindex && known.vid === at.vid;
  const home = isHome ? known : undefined;
  came.owner = home?.owner ?? 0;
  const flags = at.flags;
  const does = [accessFlag.checkSource, accessFlag.checkIps].some((flag) => (flags & flag) !== 0);
  const says =
    home === undefined
      ? `${mac} is not known to be there`
      : `${mac} is there${ownerText(view, home)}`;
  story.say("source", does ? says : `${says}; it is not checked here`, {
    mac,
    known: isHome,
    checked: does,
  });
  if (home === undefined && (flags & accessFlag.checkSource) !== 0) {
    return story.drop(
      "unknown-source",
      "this access takes frames only of MACs that are known to be there",
    );
  }
  if (home !== undefined && (flags & accessFlag.checkIps) !== 0) {
    if ((home.flags & placeFlag.hasIps) === 0) {
      story.say("source-ip", "no IPs were said of it: any is its own", { checked: false });
    } else if (!ownedBy(view, vni, mac, frame)) {
      return story.drop("spoofed-ip", "it says an IP that was not said of its MAC");
    } else {
      story.say("source-ip", "what it says of its IP is so", { checked: true });
    }
  }
  if ((flags & accessFlag.glean) !== 0 && !isTagged(frame)) {
    story.say(
      "glean",
      "its source, and what ARP and ND say in it, is shown to the agent where that is news",
    );
  }
  return undefined;
}

function ownerText({ maps }: View, { owner }: KernelPlace): string {
  const of = owner === 0 ? undefined : Meters.named(maps).get(owner);
  return of?.is === "vnic" ? `: VNIC ${of.vnic}` : "";
}

function fromOverlay(
  view: View,
  story: Story,
  { vtep, vni, encapsulation = "vxlan", frame }: Of<"overlay">,
): Trace {
  const { maps } = view;
  const facts = { vtep, vni, encapsulation };
  story.say("frame", `${frameText(frame)}, from ${vtep} in ${encapsulation}, VNI ${vni}`, facts);
  const flags = maps.config.get(0)?.flags ?? 0;
  if (encapsulation !== "vxlan" && (flags & configFlag[encapsulation]) === 0) {
    story.say("kernel", `${encapsulation} is not taken here: such packets are the kernel's own`);
    return story.end("kernel");
  }
  const vn = maps.vns.get(vni);
  if (vn === undefined) return story.drop("unknown-vni", `no VN here has VNI ${vni}`);
  story.say("vn", vnText(view, vni), { vni });
  if (!isPeer(view, vni, vtep)) {
    return story.drop("stranger-vtep", `nobody said that ${vtep} has members of this VN`);
  }
  story.say("peer", `${vtep} has members of it`, { vtep });
  if (!has(frame, ETHERNET)) return story.drop("malformed", "it is cut off in its addresses");
  return forward(view, story, { vni, vtep, owner: 0, deniedTo: false }, vn, frame);
}

const isPeer = ({ maps }: View, vni: number, vtep: IpAddress): boolean =>
  maps.peers.get({ vni, vtep }) !== undefined;
