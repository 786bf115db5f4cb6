import type { Suspended } from "../../nve/intents.ts";
import type { Deciding, Decision } from "./decision.ts";
import { encapsulate } from "./encapsulate.ts";
import { sendBack } from "./neighbours.ts";
import { destinationOf, etherTypeOf, isGroup, sourceOf, typeOf } from "./parse.ts";
import type { Tables } from "./tables.ts";
import { answerTo, TELLING } from "./too-big.ts";

/** For a MAC whose user is suspended, or which has left and arrived nowhere yet (M8): its sender is told, wherever he is. */
export function toSuspended(t: Tables, d: Deciding, frame: Uint8Array, what: Suspended): Decision {
  const { at, vni } = d.from;
  const type = etherTypeOf(frame);
  const isIp = type === typeOf.ipv4 || type === typeOf.ipv6;
  const sender = at === undefined ? t.mac(vni, sourceOf(frame))?.at : at;
  const isThere = sender !== undefined && (at !== undefined || sender.is === "remote");
  if (what === "drop" || !isThere || !isIp || isGroup(destinationOf(frame)))
    return d.drop("suspended");
  const bucket = at === undefined ? `unreachable ${vni}` : `unreachable ${at.port} ${at.vid}`;
  if (!t.clocks.hasToken(bucket, TELLING, d.now)) return d.drop("suspended");
  const answer = answerTo(frame, 0);
  if (answer === undefined) return d.drop("suspended");
  d.drop("suspended-told");
  if (sender.is === "local") return sendBack(d, answer);
  encapsulate(t, d, answer, sender);
  const isSent = d.decision.counts.some(({ what: counted }) => counted === "overlayOut");
  if (isSent) d.goesTo({ is: "peer", vtep: sender.vtep }, answer);
  return d.decision;
}
