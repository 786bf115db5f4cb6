import type { BpfMap } from "@nve/linux/bpf";
import { turn } from "@nve/linux/turn";
import { type IpPrefix, type Mac, Vni } from "@nve/protocol-spec";
import type { PortTag } from "../../nve/vsi.ts";
import { type Addresses, prefixOf } from "./addresses.ts";
import type { TorMaps } from "./maps.ts";
import { type IntentRecord, numberOfMac } from "./record.ts";

/** Entries that are looked at before others have their turn. */
const TURN = 4096;

/**
 * Takes out of the maps what no record knows of: what an earlier run had of ports that are gone, or left half-way.
 * What is being written meanwhile is in the record before it is in a map, or both change in one turn.
 */
export async function sweep(
  maps: TorMaps,
  record: IntentRecord,
  indexOf: (port: string) => number | undefined,
): Promise<void> {
  await drop(maps.access, ({ ifindex, vid }) => {
    return ![...record.access].some(
      ([port, tags]) => indexOf(port) === ifindex && tags.has(vid as PortTag),
    );
  });
  await drop(maps.fdb, ({ vni, mac }) => !record.vns.get(Vni(vni))?.macs.has(numberOfMac(mac)));
  await drop(maps.vns, (vni) => record.vns.get(Vni(vni))?.intent === undefined);
  await drop(maps.flood, ({ vni, generation, at }) => {
    const vn = record.vns.get(Vni(vni));
    return vn?.intent === undefined || vn.generation !== generation || at >= vn.written;
  });
  await drop(maps.rules, ({ vni, generation }) => {
    return record.vns.get(Vni(vni))?.acl.rules !== generation;
  });
  await drop(maps.polices, (vni) => {
    return record.vns.get(Vni(vni))?.intent?.rules.qos?.policeKbps === undefined;
  });
  await drop(maps.peers, ({ vni, vtep }) => !record.vns.get(Vni(vni))?.peers.has(vtep));
}

/** The same of IPs. */
export async function sweepIps(
  { neighbours, sources, sourceNets }: TorMaps,
  addresses: Addresses,
): Promise<void> {
  const has = (vni: number, mac: Mac, ip: IpPrefix) => addresses.of(Vni(vni), mac).includes(ip);
  await drop(neighbours, ({ vni, ip }) => !addresses.answers(Vni(vni), ip));
  await drop(sources, ({ vni, mac, ip }) => !has(vni, mac, ip));
  await drop(sourceNets, (key) => !has(key.vni, key.mac, prefixOf(key)));
}

async function drop<K, V>(map: BpfMap<K, V>, isLeft: (key: K) => boolean): Promise<void> {
  const gone: K[] = [];
  let n = 0;
  for (const [key] of map.entries()) {
    if (isLeft(key)) gone.push(key);
    n += 1;
    if (n % TURN === 0) await turn();
  }
  for (const key of gone) if (isLeft(key)) map.delete(key);
}
