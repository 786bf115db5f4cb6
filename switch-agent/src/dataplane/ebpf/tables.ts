import { BpfError } from "@nve/linux/bpf";
import type { DataplaneTable } from "../dataplane.ts";
import type { Failed } from "../error.ts";
import type { Addresses } from "./addresses.ts";
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
  /** IPs that are answered for. */
  ips?: number | undefined;
  /** IPs, and prefixes, of MACs here. */
  sources?: number | undefined;
  prefixes?: number | undefined;
};

export function maxEntriesOf(sizes: TableSizes = {}): Readonly<Record<string, number>> {
  const { accesses, macs, vns, flood, peers, ips, sources, prefixes } = sizes;
  const ofIps = { neighbours: ips, sources, source_nets: prefixes };
  const all = { access_map: accesses, fdb: macs, vns, vn_counts: vns, flood, peers, ...ofIps };
  return Object.fromEntries(
    Object.entries(all).flatMap(([map, n]) => (n === undefined ? [] : [[map, n] as const])),
  );
}

export function tablesOf(
  maps: TorMaps,
  record: IntentRecord,
  ips: Addresses["counts"],
): DataplaneTable[] {
  const vns = [...record.vns.values()];
  const sum = (numbers: readonly number[]): number => numbers.reduce((all, n) => all + n, 0);
  const table = (name: keyof typeof OCTETS, map: Sized, entries: number): DataplaneTable => {
    const memory = map.memory();
    const about = { name, entries, size: map.maxEntries, octets: OCTETS[name] };
    return { ...about, ...(memory !== undefined && { memory }), refused: map.refused };
  };
  return [
    table("accesses", maps.access, sum([...record.access.values()].map(({ size }) => size))),
    table("macs", maps.fdb, sum(vns.map(({ macs }) => macs.size))),
    table("vns", maps.vns, vns.filter(({ intent }) => intent !== undefined).length),
    table("flood", maps.flood, sum(vns.map(({ written }) => written))),
    table("peers", maps.peers, sum(vns.map(({ peers }) => peers.size))),
    table("ips", maps.neighbours, ips.answered),
    table("sources", maps.sources, ips.sources),
    table("prefixes", maps.sourceNets, ips.prefixes),
  ];
}

type Sized = {
  readonly maxEntries: number;
  readonly refused: number;
  memory(): number | undefined;
};

/** Which table was full, if that is what went wrong. */
export function fullIn(error: unknown): Pick<Failed, "full"> {
  if (!(error instanceof BpfError) || error.full === undefined) return {};
  const { map, size } = error.full;
  return { full: { table: NAMES[map] ?? map, size } };
}

const NAMES: Readonly<Record<string, string>> = {
  access_map: "accesses",
  fdb: "macs",
  vns: "vns",
  vn_counts: "vns",
  flood: "flood",
  peers: "peers",
  neighbours: "ips",
  sources: "sources",
  source_nets: "prefixes",
};

/** Of kernel memory that an entry takes on 64 bits: docs/dataplane.md says how it was measured. */
const OCTETS = {
  accesses: 96,
  macs: 128,
  vns: 224,
  flood: 128,
  peers: 96,
  ips: 96,
  sources: 128,
  prefixes: 64,
} as const;
