import { readFileSync } from "node:fs";
import { type IpAddress, isMulticast, Vid, Vni } from "@nve/protocol-spec";
import type {
  AccessRules,
  FloodLimit,
  Intent,
  MacIntent,
  Place,
  VnRules,
} from "../../nve/intents.ts";
import type { Qos } from "../../nve/profile.ts";
import type { PortTag } from "../../nve/vsi.ts";
import type { DataplaneCounters } from "../dataplane.ts";
import { readIps } from "./addresses.ts";
import { Limits } from "./limits.ts";
import {
  accessFlag,
  configFlag,
  dropReasons,
  encapsulationOf,
  type KernelPlace,
  placeFlag,
  placeType,
  type TorMaps,
  type VnCounts,
  vnFlag,
} from "./maps.ts";
import { Meters } from "./meters.ts";
import { Rules } from "./rules.ts";

/** The kernel's maps as intents; what waits for an absent port is not among them. */
export function readIntents(
  maps: TorMaps,
  nameOf: (ifindex: number) => string | undefined,
): Intent[] {
  const limits = new Limits(maps);
  const rules = new Rules(maps);
  const metered = Meters.named(maps);
  const ips = readIps(maps);
  const place = (kernel: KernelPlace) => placeOf(kernel, nameOf);
  const vns = [...maps.vns.entries()].map(([vni, { n, generation, flags, ...list }]): Intent => {
    const { list: flood, group } = readFlood(maps, vni, generation, n);
    return {
      is: "vn",
      vni: Vni(vni),
      flood: flood.flatMap((kernel) => place(kernel) ?? []),
      floodUnknown: (flags & vnFlag.floodUnknown) !== 0,
      ...(group && { group, sendToGroup: true }),
      ...((flags & vnFlag.askUnknown) !== 0 && { askUnknown: true }),
      ...((flags & vnFlag.answer) !== 0 && { answer: true }),
      ...(list.mtu > 0 && { mtu: list.mtu }),
      ...suspendedIn(flags),
      ...limitIn(flags & vnFlag.floodLimit, limits.ofVn(Vni(vni))),
      ...(list.ruleCount > 0 && { acl: rules.read(Vni(vni), list) }),
      ...qosIn(flags, rules.readPolice(Vni(vni))),
    };
  });
  const access = [...maps.access.entries()].flatMap(
    ([{ ifindex, vid }, { vni, flags }]): Intent[] => {
      const port = nameOf(ifindex);
      if (port === undefined) return [];
      const rules = {
        ...rulesOf(flags),
        ...limitIn(flags & accessFlag.floodLimit, limits.ofPort(ifindex)),
      };
      return [{ is: "access", port, vid: tagOf(vid), vni: Vni(vni), ...rules }];
    },
  );
  const macs = [...maps.fdb.entries()].flatMap(([{ vni, mac }, kernel]): Intent[] => {
    const at = place(kernel);
    if (at === undefined) return [];
    const owner = at.is === "local" ? metered.get(kernel.owner) : undefined;
    const vnic = owner?.is === "vnic" ? { vnic: owner.vnic } : {};
    const known = { ...ips(Vni(vni), mac), ...vnic, ...marksIn(at, kernel) };
    return [{ is: "mac", vni: Vni(vni), mac, at, ...known }];
  });
  return [...vns, ...access, ...macs];
}

/** A group stands for those that follow the list that is in force. */
function readFlood(
  { flood }: TorMaps,
  vni: number,
  generation: number,
  n: number,
): { list: KernelPlace[]; group?: IpAddress } {
  const list: KernelPlace[] = [];
  let group: IpAddress | undefined;
  for (let at = 0; at < n || group !== undefined; at++) {
    const place = flood.get({ vni, generation, at });
    if (place !== undefined && isGroup(place)) group = place.vtep;
    else if (place !== undefined) list.push(place);
    else if (at >= n) break;
  }
  return { list, ...(group && { group }) };
}

const isGroup = ({ type, vtep }: KernelPlace): boolean =>
  (type === placeType.remoteV4 || type === placeType.remoteV6) && isMulticast(vtep);

function placeOf(
  { type, encapsulation, vid, ifindex, vtep }: KernelPlace,
  nameOf: (ifindex: number) => string | undefined,
): Place | undefined {
  if (type === placeType.remoteV4 || type === placeType.remoteV6) {
    const kind = encapsulationOf[encapsulation];
    return { is: "remote", vtep, ...(kind && { encapsulation: kind }) };
  }
  const port = type === placeType.local ? nameOf(ifindex) : undefined;
  return port === undefined ? undefined : { is: "local", port, vid: tagOf(vid) };
}

function marksIn(at: Place, { flags }: KernelPlace): Pick<MacIntent, "moved" | "suspended"> {
  const isOf = at.is === "remote" ? placeFlag.inFlight : placeFlag.suspended;
  if ((flags & isOf) === 0) return {};
  return at.is === "remote" ? { moved: true } : { suspended: true };
}

function suspendedIn(flags: number): Pick<VnRules, "suspended"> {
  if ((flags & vnFlag.tellSuspended) !== 0) return { suspended: "unreachable" };
  return (flags & vnFlag.dropSuspended) !== 0 ? { suspended: "drop" } : {};
}

const tagOf = (vid: number): PortTag => (vid === 0 ? 0 : Vid(vid));

const limitIn = (flag: number, floodLimit: FloodLimit | undefined): Pick<VnRules, "floodLimit"> =>
  flag !== 0 && floodLimit !== undefined ? { floodLimit } : {};

function qosIn(flags: number, police: Qos): Pick<VnRules, "qos"> {
  const isPoliced = (flags & vnFlag.police) !== 0;
  const marks = (flags & vnFlag.mark) !== 0 && { dscp: flags >>> 24 };
  return isPoliced || marks ? { qos: { ...(isPoliced && police), ...marks } } : {};
}

const rulesOf = (flags: number): AccessRules => ({
  ...((flags & accessFlag.checkSource) !== 0 && { checkSource: true }),
  ...((flags & accessFlag.checkIps) !== 0 && { checkIps: true }),
  ...((flags & accessFlag.glean) !== 0 && { glean: true }),
});

/**
 * Sums over the CPUs, read in bulk: 1,024 entries in a system call. A super-packet that a NIC splits later counts once. `not-sent`: the underlay could not take
 * a tunnel packet, as it has no route to the VTEP or a smaller path MTU than its interface.
 */
export function readCounters(
  { maps, device }: { maps: TorMaps; device: string },
  vnis: Iterable<Vni>,
  meters: Meters,
): DataplaneCounters {
  const ofVns = new Map(maps.vnCounts.all(Number.POSITIVE_INFINITY));
  const vns = [...vnis].flatMap((vni) => {
    const counts = ofVns.get(vni);
    return counts === undefined ? [] : [{ vni, ...counts.reduce(sum) }];
  });
  const ofReasons = new Map(maps.drops.all(dropReasons.length));
  const drops = dropReasons.map((reason, i): [string, number] => [
    reason,
    (ofReasons.get(i) ?? []).reduce((all, n) => all + n, 0),
  ]);
  const isMetered = ((maps.config.get(0)?.flags ?? 0) & configFlag.metered) !== 0;
  return {
    vns,
    drops: Object.fromEntries([...drops, ["not-sent", notSent(device)]]),
    ...(isMetered && {
      meters: [...meters.counts()].map(([of, counts]) => ({ ...of, ...counts })),
    }),
  };
}

/** Errors and drops of the device's sending side: the third and fourth of the last eight columns. */
function notSent(device: string): number {
  const lines = readFileSync("/proc/self/net/dev", "utf8").split("\n");
  const line = lines.map((text) => text.trim()).find((text) => text.startsWith(`${device}:`));
  const columns =
    line
      ?.slice(device.length + 1)
      .trim()
      .split(/\s+/)
      .map(Number) ?? [];
  return (columns[10] ?? 0) + (columns[11] ?? 0);
}

const sum = (a: VnCounts, b: VnCounts): VnCounts => ({
  accessIn: a.accessIn + b.accessIn,
  accessOut: a.accessOut + b.accessOut,
  overlayIn: a.overlayIn + b.overlayIn,
  overlayOut: a.overlayOut + b.overlayOut,
  flooded: a.flooded + b.flooded,
});
