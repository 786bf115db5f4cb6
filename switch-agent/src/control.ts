import { NotFound, type Service, unary } from "@nve/program";
import { portStatusOf } from "@nve/program/edge-status";
import { type Mac, VnId } from "@nve/protocol-spec";
import {
  type CountersResponse,
  type FdbEntry,
  type PortStatus,
  type Refusal,
  SwitchAgentService,
  type SwitchStatus,
  type SwitchVn,
  type SwitchVnic,
  type VnBinding,
} from "@nve/protocol-spec/proto/agent";
import type { Vsi } from "@nve/switch-agent/nve";
import type { SwitchAgent } from "./agent.ts";
import type { AccessPort } from "./port/access-port.ts";

/** The local control API (agent.proto): it shows what the agent has, and changes nothing. Who asks early waits. */
export function controlService(started: Promise<SwitchAgent>): Service {
  const about = <Req, Res>(answer: (agent: SwitchAgent, request: Req) => Res | Promise<Res>) =>
    unary(async (request: Req) => answer(await started, request));
  return {
    definition: SwitchAgentService,
    implementation: {
      status: about(status),
      listPorts: about((agent) => ({
        ports: [...agent.ports.values()].map((port) => portStatus(agent, port)),
      })),
      listVnics: about((agent) => ({
        vnics: [...agent.core.vsis.values()].map((vsi) => vnic(agent, vsi)),
      })),
      listVns: about((agent) => ({ vns: agent.core.watched().map((vn) => switchVn(agent, vn)) })),
      listFdb: about((agent, { vnId }: { vnId: number }) => ({ entries: fdb(agent, vnId) })),
      listRefusals: about((agent) => ({ refusals: refusals(agent) })),
      counters: about(counters),
    },
  };
}

function status(agent: SwitchAgent): SwitchStatus {
  const { core, config, nva } = agent;
  const vns = core.watched();
  const count = (of: (vn: VnId) => number): number => vns.reduce((sum, vn) => sum + of(vn), 0);
  return {
    version: agent.version,
    nveId: config.nve,
    vtep: config.vtep,
    startedUnixMs: BigInt(agent.startedUnixMs),
    nvaState: nva.state.is,
    nvaAddress: nva.state.address,
    nvaReason: nva.state.reason,
    nvaRevision: nva.state.applied,
    dataplane: config.dataplane.driver,
    dataplaneState: agent.applier.state,
    ports: agent.ports.size,
    vns: vns.length,
    vnics: core.vsis.size,
    localMacs: count((vn) => core.owners(vn).size),
    remoteMacs: count((vn) => core.fdb.remotes(vn).size),
  };
}

/** Counters: `lldp.in`, `ecp.requests-out`, `vdp.refused`, `malformed.vdp.short`, `link.dropped-in`, … */
function portStatus(
  agent: SwitchAgent,
  { name, state, edge, vdp, dropped }: AccessPort,
): PortStatus {
  const nve = agent.core.ports.get(name);
  const { lldp, ecp, malformed } = edge.counters;
  return portStatusOf({
    interface: name,
    state,
    evb: edge.evb,
    neighbours: edge.neighbours,
    counters: { lldp, ecp, vdp, malformed, link: dropped },
    vnics: nve?.vsis.size ?? 0,
    tagsLent: nve?.pool.lent.size ?? 0,
    tagsFree: nve?.pool.free ?? 0,
  });
}

const STATES = {
  "pre-associate": "pre-associated",
  "pre-associate-rr": "pre-associated-rr",
  associate: "associated",
} as const;

function vnic(agent: SwitchAgent, { ask, granted, pending }: Vsi): SwitchVnic {
  const shown = granted?.ask ?? ask;
  const state = granted === undefined || pending !== undefined ? "deciding" : STATES[shown.mode];
  const since = granted === undefined ? 0 : agent.unixMsOf(granted.since);
  const content = granted === undefined ? new Map() : agent.core.tree.content(shown.vsi);
  const pool = agent.core.ports.get(shown.port)?.pool;
  const vns = [...(content ?? [])].map(
    ([vn, macs]): VnBinding => ({
      vnId: vn,
      vnName: agent.core.infos.get(vn)?.name ?? "",
      mtu: agent.mtuOf(vn) ?? 0,
      tag: pool?.tagOf(vn) ?? 0,
      guestTag: 0,
      uplink: "",
      macs: [...macs].map(([mac, ips]) => ({ mac, ips: [...ips] })),
    }),
  );
  const { port, station = "", vnic: name, hypervisor, vm: vmName = "" } = shown;
  const sinceUnixMs = BigInt(since);
  const { origin = "vdp" } = shown;
  return { vnic: name, port, station, state, vns, sinceUnixMs, hypervisor, vmName, origin };
}

function switchVn({ core }: SwitchAgent, vn: VnId): SwitchVn {
  const info = core.infos.get(vn);
  const tags = [...core.ports].flatMap(([port, { pool }]) => {
    const lent = pool.lent.get(vn);
    return lent === undefined ? [] : [{ port, tag: lent.vid, vnics: lent.holders.size }];
  });
  return {
    vnId: vn,
    vni: info?.vni ?? 0,
    alias: info?.alias ?? "",
    name: info?.name ?? "",
    tags,
    remoteNves: [...core.fdb.members(vn).values()].map(({ nve, vtep }) => `${nve} ${vtep}`),
    localMacs: core.owners(vn).size,
    remoteMacs: core.fdb.remotes(vn).size,
  };
}

function fdb(agent: SwitchAgent, vnId: number): FdbEntry[] {
  if (vnId === 0) return agent.core.watched().flatMap((vn) => fdbOf(agent, vn));
  const vn = VnId(vnId);
  if (!agent.core.watched().includes(vn)) throw new NotFound(`VN ${vn} has no members here`);
  return fdbOf(agent, vn);
}

function fdbOf(agent: SwitchAgent, vn: VnId): FdbEntry[] {
  const { core } = agent;
  const vni = core.infos.get(vn)?.vni;
  if (vni === undefined) return [];
  const entry = (mac: Mac, ips: Iterable<string>): FdbEntry => ({
    vnId: vn,
    vni,
    mac,
    ips: [...ips],
    where: "remote",
    port: "",
    tag: 0,
    vtep: "",
    nveId: "",
    vnic: "",
    applied: agent.applier.has(`mac ${vni} ${mac}`),
    provenance: undefined,
    ipProvenance: {},
  });
  const owners = core.owners(vn);
  const local = [...owners].map(
    ([mac, { macs, port, vid, vnic }]): FdbEntry => ({
      ...entry(mac, macs.get(mac) ?? []),
      where: "local",
      port,
      tag: vid,
      vnic,
    }),
  );
  const remote = [...core.fdb.remotes(vn).values()]
    .filter(({ mac }) => !owners.has(mac))
    .map(({ mac, ips, vtep, nve }): FdbEntry => ({ ...entry(mac, ips), vtep, nveId: nve }));
  return [...local, ...remote];
}

const refusals = (agent: SwitchAgent): Refusal[] =>
  agent.refusals.newestFirst.map(({ atUnixMs, port, vnic, vns, code, reason }) => ({
    atUnixMs: BigInt(atUnixMs),
    port,
    vnic,
    vnId: vns[0] ?? 0,
    code,
    reason,
  }));

async function counters(agent: SwitchAgent): Promise<CountersResponse> {
  const { vns, drops } = await agent.dataplane.counters();
  const vnOf = new Map([...agent.core.infos.values()].map(({ vn, vni }) => [vni, vn]));
  return {
    vns: vns.map(({ vni, accessIn, accessOut, overlayIn, overlayOut, flooded }) => ({
      vnId: vnOf.get(vni) ?? 0,
      vni,
      accessIn: BigInt(accessIn),
      accessOut: BigInt(accessOut),
      overlayIn: BigInt(overlayIn),
      overlayOut: BigInt(overlayOut),
      flooded: BigInt(flooded),
    })),
    drops: Object.fromEntries(Object.entries(drops).map(([why, n]) => [why, BigInt(n)])),
  };
}
