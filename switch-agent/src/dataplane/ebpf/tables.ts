import type { DataplaneTable } from "../dataplane.ts";
import type { TorMaps } from "./maps.ts";
import type { IntentRecord } from "./record.ts";

/** Entries at most. */
export type TableSizes = {
  /** Tags of all ports together. */
  accesses?: number | undefined;
  /** Addresses here and behind the overlay. */
  macs?: number | undefined;
  vns?: number | undefined;
  /** Places of all flood lists together; while one is replaced it is there twice. */
  flood?: number | undefined;
  /** Other NVEs, once for each VN that they are in. */
  peers?: number | undefined;
};

export function maxEntriesOf(sizes: TableSizes = {}): Readonly<Record<string, number>> {
  const { accesses, macs, vns, flood, peers } = sizes;
  const all = { access_map: accesses, fdb: macs, vns, vn_counts: vns, flood, peers };
  return Object.fromEntries(
    Object.entries(all).flatMap(([map, n]) => (n === undefined ? [] : [[map, n] as const])),
  );
}

export function tablesOf(maps: TorMaps, record: IntentRecord): DataplaneTable[] {
  const vns = [...record.vns.values()];
  const sum = (numbers: Iterable<number>): number => [...numbers].reduce((all, n) => all + n, 0);
  const table = (name: string, { maxEntries }: { maxEntries: number }, entries: number) => ({
    name,
    entries,
    size: maxEntries,
    octets: OCTETS[name] ?? 0,
  });
  return [
    table("accesses", maps.access, sum([...record.access.values()].map(({ size }) => size))),
    table("macs", maps.fdb, sum(vns.map(({ macs }) => macs.size))),
    table("vns", maps.vns, vns.filter(({ intent }) => intent !== undefined).length),
    table("flood", maps.flood, sum(vns.map(({ written }) => written))),
    table("peers", maps.peers, sum(vns.map(({ peers }) => peers.size))),
  ];
}

/** Of kernel memory that an entry takes, measured (docs/dataplane.md). */
const OCTETS: Readonly<Record<string, number>> = {};
