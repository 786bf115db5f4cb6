import { Vid, Vni } from "@nve/protocol-spec";
import type { Intent, Place } from "../../nve/intents.ts";
import type { DataplaneCounters } from "../dataplane.ts";
import {
  dropReasons,
  floodUnknownFlag,
  type KernelPlace,
  placeType,
  type TorMaps,
  type VnCounts,
} from "./maps.ts";

/** The kernel's maps as intents; what waits for an absent port is not among them. */
export function readIntents(
  maps: TorMaps,
  nameOf: (ifindex: number) => string | undefined,
): Intent[] {
  const place = (kernel: KernelPlace) => placeOf(kernel, nameOf);
  const vns = [...maps.vns.entries()].map(([vni, { n, generation, flags }]): Intent => {
    const flood = Array.from({ length: n }, (_, at) => maps.flood.get({ vni, generation, at }));
    return {
      is: "vn",
      vni: Vni(vni),
      flood: flood.flatMap((kernel) => (kernel && place(kernel)) ?? []),
      floodUnknown: (flags & floodUnknownFlag) !== 0,
    };
  });
  const access = [...maps.access.entries()].flatMap(([{ ifindex, vid }, { vni }]): Intent[] => {
    const port = nameOf(ifindex);
    return port === undefined ? [] : [{ is: "access", port, vid: Vid(vid), vni: Vni(vni) }];
  });
  const macs = [...maps.fdb.entries()].flatMap(([{ vni, mac }, kernel]): Intent[] => {
    const at = place(kernel);
    return at === undefined ? [] : [{ is: "mac", vni: Vni(vni), mac, at }];
  });
  return [...vns, ...access, ...macs];
}

function placeOf(
  { type, vid, ifindex, vtep }: KernelPlace,
  nameOf: (ifindex: number) => string | undefined,
): Place | undefined {
  if (type === placeType.remoteV4 || type === placeType.remoteV6) return { is: "remote", vtep };
  const port = type === placeType.local ? nameOf(ifindex) : undefined;
  return port === undefined ? undefined : { is: "local", port, vid: Vid(vid) };
}

/** Sums over the CPUs. A super-packet that a NIC splits later counts once. */
export function readCounters(maps: TorMaps, vnis: Iterable<Vni>): DataplaneCounters {
  const vns = [...vnis].flatMap((vni) => {
    const counts = maps.vnCounts.get(vni);
    return counts === undefined ? [] : [{ vni, ...counts.reduce(sum) }];
  });
  const drops = dropReasons.map((reason, i): [string, number] => [
    reason,
    (maps.drops.get(i) ?? []).reduce((all, n) => all + n, 0),
  ]);
  return { vns, drops: Object.fromEntries(drops) };
}

const sum = (a: VnCounts, b: VnCounts): VnCounts => ({
  accessIn: a.accessIn + b.accessIn,
  accessOut: a.accessOut + b.accessOut,
  overlayIn: a.overlayIn + b.overlayIn,
  overlayOut: a.overlayOut + b.overlayOut,
  flooded: a.flooded + b.flooded,
});
