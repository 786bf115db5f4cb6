import type { Peer } from "@nve/protocol-spec/proto/agent";
import type { Nve } from "../local/nve.ts";

export const peersOf = (nve: Nve): Peer[] =>
  nve.probing.peers().map(({ vtep, nves, vns, need, path }) => ({
    vtep,
    nves,
    vnIds: vns,
    need,
    pathMtu: path?.mtu ?? 0,
    state: path?.state ?? (nve.probing.isOn ? "probing" : "off"),
    sinceUnixMs: BigInt(path === undefined ? 0 : nve.unixMsOf(path.since)),
  }));
