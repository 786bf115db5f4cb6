import { ipFrom, isIpv6, type Mac, Vid, Vni } from "@nve/protocol-spec";
import { Deciding } from "../../userspace/decision.ts";
import { answerTo } from "../../userspace/neighbours.ts";
import { etherTypeOf, has, readNd, sourceOf, typeOf } from "../../userspace/parse.ts";
import { Tables } from "../../userspace/tables.ts";
import { placeType } from "../maps.ts";
import type { Came, View } from "./story.ts";

export type Answered = { says: string; facts: Record<string, string>; goesOn: boolean };

/** Whether ARP, ND or RARP is answered here: the reference is asked, of what the kernel's maps have. */
export function answered(
  view: View,
  vniOf: number,
  at: NonNullable<Came["at"]>,
  frame: Uint8Array,
): Answered | undefined {
  const { maps } = view;
  const vni = Vni(vniOf);
  const config = maps.config.get(0);
  const place = { is: "local", port: at.port, vid: at.vid === 0 ? 0 : Vid(at.vid) } as const;
  if (config === undefined) return undefined;
  const tables = new Tables(config.vtep, 0);
  tables.portsThere.add(at.port);
  const isRarp = etherTypeOf(frame) === typeOf.rarp;
  const asked = askedIn(frame);
  if (isRarp) {
    const home = maps.fdb.get({ vni, mac: sourceOf(frame), zero: 0 });
    const isHome =
      home?.type === placeType.local && home.ifindex === at.ifindex && home.vid === at.vid;
    if (!isHome || isIpv6(home.vtep)) return undefined;
    tables.put({ is: "mac", vni, mac: sourceOf(frame), at: place, ips: [home.vtep] });
  } else {
    const owner = asked && maps.neighbours.get({ vni, ip: asked });
    if (asked === undefined || owner === undefined) return undefined;
    tables.put({ is: "mac", vni, mac: owner.mac, at: place, ips: [asked] });
  }
  const answer = answerTo(tables, new Deciding({ vni, at: place }, 0), frame);
  if (answer === undefined) return undefined;
  const owner: Mac = sourceOf(answer);
  if (isRarp) {
    return {
      says: "RARP: it is told its IP, and the question goes on to all",
      facts: {},
      goesOn: true,
    };
  }
  const says = `${asked} is ${owner}: answered here, and goes no further`;
  return { says, facts: { ip: String(asked), mac: owner }, goesOn: false };
}

function askedIn(frame: Uint8Array) {
  if (etherTypeOf(frame) === typeOf.arp && has(frame, 42)) return ipFrom(frame.subarray(38, 42));
  const target = readNd(frame)?.target;
  return target && ipFrom(target);
}
