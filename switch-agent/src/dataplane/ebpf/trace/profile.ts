import { Vni } from "@nve/protocol-spec";
import { ruleText } from "../../../nve/profile.ts";
import type { Trace } from "../../trace.ts";
import { etherTypeOf, typeOf } from "../../userspace/parse.ts";
import { matches, readFlow } from "../../userspace/rules.ts";
import { type KernelVn, vnFlag } from "../maps.ts";
import { Rules } from "../rules.ts";
import type { Came, Story, View } from "./story.ts";

type Direction = "from-vnic" | "to-vnic";

/** What the VN's profile says of it (H25). @returns the frame as it goes on, or how it ends */
export function byProfile(
  view: View,
  story: Story,
  came: Came,
  vn: KernelVn,
  frame: Uint8Array,
): Uint8Array | Trace {
  if (vn.ruleCount > 0) {
    const isAccess = came.at !== undefined;
    if (isAccess && isDenied(view, story, came, vn, frame, "from-vnic")) {
      return story.drop("acl", "the VN's profile denies it");
    }
    came.deniedTo = isDenied(view, story, came, vn, frame, "to-vnic");
  }
  if (came.at === undefined) return frame;
  if ((vn.flags & vnFlag.police) !== 0 && isTooMuch(view, story, came, frame.length)) {
    return story.drop("policed", "its bucket is spent just now");
  }
  return (vn.flags & vnFlag.mark) === 0 ? frame : marked(story, frame, vn.flags >>> 24);
}

function isDenied(
  { maps }: View,
  story: Story,
  { vni }: Came,
  vn: KernelVn,
  frame: Uint8Array,
  direction: Direction,
): boolean {
  const rules = new Rules(maps).read(Vni(vni), vn);
  const flow = readFlow(frame);
  const facts = { direction, rules: rules.length };
  if (flow === undefined) {
    const says = `${direction}: an IP packet that cannot be read to its ports goes nowhere`;
    story.say("acl", says, { ...facts, action: "deny" });
    return true;
  }
  const at = rules.findIndex(
    (rule) => (rule.direction === "both" || rule.direction === direction) && matches(rule, flow),
  );
  const rule = rules[at];
  if (rule === undefined) {
    const says = `${direction}: none of ${rules.length} rules matches, so it passes`;
    story.say("acl", says, { ...facts, action: "allow" });
    return false;
  }
  const says = `${direction}: rule ${at + 1} of ${rules.length} matches: ${ruleText(rule)}`;
  story.say("acl", says, { ...facts, action: rule.action, rule: at + 1 });
  return rule.action === "deny";
}

/** As programs/rules.h has it: the time until which the bucket is spent. */
function isTooMuch({ maps, now }: View, story: Story, came: Came, octets: number): boolean {
  const { vni, at, owner } = came;
  const police = maps.polices.get(vni);
  if (police === undefined || at === undefined) return false;
  const place = { vni, ifindex: at.ifindex, vid: at.vid };
  const spent = owner !== 0 ? maps.policed.get(owner) : maps.policedPlaces.get(place);
  const cost = Math.floor((octets * police.cost) / 65_536);
  const owed = Math.max(0, (spent ?? 0) - now);
  const isOver = owed > 0 && owed + cost > police.burst;
  const left = Math.max(0, Math.round(((police.burst - owed) * police.kbps) / 8e6));
  const whose = owner !== 0 ? "its VNIC" : "its place";
  const says = `${whose} may send ${police.kbps} kbit/s: ${left} octets are left now`;
  story.say("police", says, { kbps: police.kbps, left, passes: !isOver });
  return isOver;
}

function marked(story: Story, frame: Uint8Array, dscp: number): Uint8Array {
  const type = etherTypeOf(frame);
  if (type !== typeOf.ipv4 && type !== typeOf.ipv6) return frame;
  story.say("dscp", `its DSCP becomes ${dscp}`, { dscp });
  const is = frame.slice();
  const [first = 0, second = 0] = is.subarray(14);
  if (type === typeOf.ipv4) is[15] = (dscp << 2) | (second & 3);
  else is.set([(first & 0xf0) | (dscp >> 2), ((dscp & 3) << 6) | (second & 0x3f)], 14);
  return is;
}
