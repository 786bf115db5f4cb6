import type { EdgePeer } from "@nve/linux";
import { NotFound, Refused, type Service, unary } from "@nve/program";
import { portStatusOf, type Station } from "@nve/program/edge-status";
import { type EvbAgreed, textOf, VnId, type Vni } from "@nve/protocol-spec";
import {
  type CountersResponse,
  type DataplaneTable,
  type FdbEntry,
  type Meter,
  type PortStatus,
  type Refusal,
  type SwitchAgentServer,
  SwitchAgentService,
  type SwitchStatus,
  type SwitchVn,
  type SwitchVnic,
  type SwitchVnProfile,
  type VnBinding,
} from "@nve/protocol-spec/proto/agent";
import {
  encapsulationFor,
  type Member,
  ruleText,
  type Unknown,
  type VnProfile,
  type VnRules,
  type Vsi,
} from "@nve/switch-agent/nve";
import type { SwitchAgent } from "./agent.ts";
import { captureMethod } from "./capture-control.ts";
import type { MeterCounts, Metered } from "./dataplane/dataplane.ts";
import { fdbEntries, localMacs } from "./fdb-entries.ts";
import type { Nve } from "./local/nve.ts";
import type { AccessPort } from "./port/access-port.ts";
import { peersOf } from "./probe/shown.ts";
import { bindingMethods } from "./static/control.ts";
import type { StaticPorts } from "./static/static-ports.ts";
import { trace } from "./trace-control.ts";

/** The answer to `stop` goes first, milliseconds. */
const ANSWER_MS = 100;

/** What the control API shows and changes. */
export type Controlled = {
  nve: Nve;
  ports(): PortStatus[];
  /** Of an NVE on a switch. */
  statics?: StaticPorts;
  /** Ends the agent; with "remove" frames stop, too. */
  stop?(how: "remove" | undefined): void;
};

/** The local control API (agent.proto). Who asks early waits. */
export const controlService = (
  started: Promise<SwitchAgent>,
  stop: Controlled["stop"] = undefined,
): Service =>
  nveService(
    started.then((agent) => {
      const parts = { nve: agent, ports: () => portsOf(agent), statics: agent.statics };
      return stop === undefined ? parts : { ...parts, stop };
    }),
  );

/** The same of an NVE wherever it runs (A8). */
export function nveService(started: Promise<Controlled>): Service {
  const about = <Req, Res>(answer: (nve: Nve, request: Req) => Res | Promise<Res>) =>
    unary(async (request: Req) => answer((await started).nve, request));
  const bindings = bindingMethods(async () => (await started).statics);
  const implementation: SwitchAgentServer = {
    status: unary(async () => statusOf(await started)),
    listPorts: unary(async () => ({ ports: (await started).ports() })),
    listVnics: about((nve) => ({
      vnics: [...nve.core.vsis.values()].map((vsi) => vnic(nve, vsi)),
    })),
    listVns: about((nve) => ({ vns: nve.core.watched().map((vn) => switchVn(nve, vn)) })),
    listFdb: about((nve, { vnId }: { vnId: number }) => ({ entries: fdb(nve, vnId) })),
    listRefusals: about((nve) => ({ refusals: refusals(nve) })),
    counters: about(counters),
    listPeers: about((nve) => ({ peers: peersOf(nve) })),
    listTables: about((nve) => ({ tables: tables(nve) })),
    trace: about(trace),
    capture: captureMethod(async () => (await started).nve),
    stop: unary(async ({ remove }: { remove: boolean }) => {
      const { stop } = await started;
      if (stop === undefined) throw new Refused("this agent is ended by a signal alone");
      setTimeout(() => stop(remove ? "remove" : undefined), ANSWER_MS);
      return {};
    }),
    ...bindings,
  };
  return { definition: SwitchAgentService, implementation };
}

export function statusOf({ nve, ports }: Controlled): SwitchStatus {
  const { core, self, nva } = nve;
  const vns = core.watched();
  const count = (of: (vn: VnId) => number): number => vns.reduce((sum, vn) => sum + of(vn), 0);
  return {
    version: nve.version,
    nveId: self.nve,
    vtep: self.vtep,
    startedUnixMs: BigInt(nve.startedUnixMs),
    nvaState: nva.state.is,
    nvaAddress: nva.state.address,
    nvaReason: nva.state.reason,
    nvaRevision: nva.state.applied,
    dataplane: nve.driver,
    dataplaneState: nve.applier.state,
    ports: ports().length,
    vns: vns.length,
    vnics: core.vsis.size,
    localMacs: count((vn) => localMacs(nve, vn)),
    remoteMacs: count((vn) => core.fdb.remotes(vn).size),
    certificateValidToUnixMs: BigInt(nva.state.certificate?.validToUnixMs ?? 0),
    warnings: [...(nve.dataplane.warnings ?? []), ...nve.probing.warnings],
    certificateFault: nva.state.certificate?.fault ?? "",
  };
}

/** Those with stations, then those without protocol. */
const portsOf = (agent: SwitchAgent): PortStatus[] => [
  ...[...agent.ports.values()].map((port) => portStatus(agent, port)),
  ...agent.statics.ports.map((name) => plainPort(agent, name)),
];

/** Counters: `lldp.in`, `ecp.requests-out`, `vdp.refused`, `malformed.vdp.short`, `link.dropped-in`, … */
function portStatus(
  agent: SwitchAgent,
  { name, state, edge, vdp, door, authentic, dropped, isAccessNetwork }: AccessPort,
): PortStatus {
  const nve = agent.core.ports.get(name);
  const { lldp, ecp, malformed } = edge.counters;
  return portStatusOf({
    interface: name,
    state,
    evb: edge.evb,
    neighbours: edge.neighbours,
    counters: {
      ...{ lldp, ecp, vdp, malformed, link: dropped, refused: door.refused },
      ...(authentic.guard && { auth: authentic.guard.counters }),
      ...gleaned(agent, name),
    },
    vnics: nve?.vsis.size ?? 0,
    tagsLent: nve?.pool.lent.size ?? 0,
    tagsFree: nve?.pool.free ?? 0,
    stations: isAccessNetwork ? edge.peers.map((peer) => stationOf(agent, name, peer)) : [],
  });
}

function stationOf(
  { core }: SwitchAgent,
  port: string,
  { mac, evb, ecp, lldpdu }: EdgePeer,
): Station {
  const vsis = [...(core.ports.get(port)?.vsis ?? [])].filter(
    (key) => core.vsis.get(key)?.ask.station === mac,
  );
  const systemName = lldpdu === undefined ? "" : textOf(lldpdu, "system-name");
  return { mac, systemName, evb, counters: { ecp }, vnics: vsis.length };
}

/** One without LLDP, EVB, ECP and VDP. */
export function plainPort(nve: Nve, name: string): PortStatus {
  const { vsis, pool } = nve.core.ports.get(name) ?? {};
  return portStatusOf({
    interface: name,
    state: nve.portStates.get(name) ?? "absent",
    evb: noEvb,
    neighbours: [],
    counters: gleaned(nve, name),
    vnics: vsis?.size ?? 0,
    tagsLent: pool?.lent.size ?? 0,
    tagsFree: 0, // it lends none
  });
}

/** `glean.macs`, `glean.conflicts`, …: of a port that gleans. */
const gleaned = ({ core }: Nve, name: string) =>
  core.ports.get(name)?.rules.glean ? { glean: core.gleaned.counters(name) } : {};

const noEvb: EvbAgreed = { peer: false, groupId: false, r: 0, rte: 0, rwd: 0, rka: 0 };

const STATES = {
  "pre-associate": "pre-associated",
  "pre-associate-rr": "pre-associated-rr",
  associate: "associated",
} as const;

function vnic(nve: Nve, { ask, granted, pending }: Vsi): SwitchVnic {
  const shown = granted?.ask ?? ask;
  const state = granted === undefined || pending !== undefined ? "deciding" : STATES[shown.mode];
  const since = granted === undefined ? 0 : nve.unixMsOf(granted.since);
  const content = granted === undefined ? new Map() : nve.core.tree.content(shown.vsi);
  const pool = nve.core.ports.get(shown.port)?.pool;
  const vns = [...(content ?? [])].map(
    ([vn, macs]): VnBinding => ({
      vnId: vn,
      vnName: nve.core.infos.get(vn)?.name ?? "",
      mtu: nve.mtuOf(vn) ?? 0,
      tag: pool?.tagOf(vn) ?? 0,
      guestTag: 0,
      uplink: "",
      macs: [...macs].map(([mac, ips]) => ({ mac, ips: [...ips] })),
    }),
  );
  const { port, station = "", vnic: name, hypervisor, vm: vmName = "" } = shown;
  const sinceUnixMs = BigInt(since);
  const { origin = "vdp", authenticated = false } = shown;
  const who = { hypervisor, vmName, origin, authenticated };
  return { vnic: name, port, station, state, vns, sinceUnixMs, ...who };
}

function switchVn(nve: Nve, vn: VnId): SwitchVn {
  const { core } = nve;
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
    remoteNves: [...core.fdb.members(vn).values()].map((member) => remoteNve(member, info?.vni)),
    localMacs: localMacs(nve, vn),
    remoteMacs: core.fdb.remotes(vn).size,
    ...learningOf(core.infos.pull(vn)),
    ...(info?.flooding?.unknown && { unknown: info.flooding.unknown }),
    flood: floodText(core.infos.group(vn)),
    ...(info?.profile && { profile: shownProfile(info.profile) }),
  };
}

const floodText = ({ group, sendToGroup }: Pick<VnRules, "group" | "sendToGroup">): string =>
  sendToGroup ? `group ${group}` : "head-end";

const learningOf = (pull: Unknown | undefined) =>
  pull === undefined ? { learning: "push" } : { learning: "pull", unknown: pull };

const shownProfile = (profile: VnProfile): SwitchVnProfile => ({
  name: profile.name ?? "",
  acl: profile.acl.map(ruleText),
  policeKbps: profile.qos.policeKbps ?? 0,
  burstOctets: profile.qos.burstOctets ?? 0,
  dscp: profile.qos.dscp,
  vnicsPerNve: profile.limits.vnicsPerNve ?? 0,
  macsPerVnic: profile.limits.macsPerVnic ?? 0,
  ipsPerMac: profile.limits.ipsPerMac ?? 0,
  notEnforced: [],
});

function fdb(nve: Nve, vnId: number): FdbEntry[] {
  nve.gleaning.refresh();
  if (vnId === 0) return nve.core.watched().flatMap((vn) => fdbEntries(nve, vn));
  const vn = VnId(vnId);
  if (!nve.core.watched().includes(vn)) throw new NotFound(`VN ${vn} has no members here`);
  return fdbEntries(nve, vn);
}

const refusals = (nve: Nve): Refusal[] =>
  nve.refusals.newestFirst.map(({ atUnixMs, port, vnic, vns, code, reason }) => ({
    atUnixMs: BigInt(atUnixMs),
    port,
    vnic,
    vnId: vns[0] ?? 0,
    code,
    reason,
  }));

const counted = (counts: Readonly<Record<string, number>>) =>
  Object.fromEntries(Object.entries(counts).map(([what, n]) => [what, BigInt(n)]));

const tables = (nve: Nve): DataplaneTable[] =>
  (nve.dataplane.tables?.() ?? []).map(({ name, entries, size, octets, memory, refused }) => ({
    name,
    entries: BigInt(entries),
    size: BigInt(size),
    octets,
    memory: BigInt(memory ?? 0),
    refused: BigInt(refused),
  }));

async function counters(nve: Nve): Promise<CountersResponse> {
  const { vns, drops, meters = [] } = await nve.dataplane.counters();
  const vnOf = new Map([...nve.core.infos.values()].map(({ vn, vni }) => [vni, vn]));
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
    drops: counted(drops),
    nva: counted(nve.nvaCounters),
    meters: meters.map((meter) => shownMeter(meter, (vni) => vnOf.get(vni) ?? 0)),
  };
}

const shownMeter = (meter: Metered & MeterCounts, vnOf: (vni: Vni) => number): Meter => ({
  vnic: meter.is === "vnic" ? meter.vnic : "",
  vnId: meter.is === "vnic" ? vnOf(meter.vni) : 0,
  port: meter.is === "port" ? meter.port : "",
  vtep: meter.is === "peer" ? meter.vtep : "",
  framesIn: BigInt(meter.in),
  octetsIn: BigInt(meter.inOctets),
  framesOut: BigInt(meter.out),
  octetsOut: BigInt(meter.outOctets),
  acl: BigInt(meter.acl),
  policed: BigInt(meter.policed),
  spoofed: BigInt(meter.spoofed),
  dropped: BigInt(meter.dropped),
});

/** `tor2 192.0.2.2`, and how frames get there when it is not by VXLAN. */
function remoteNve(member: Member, vni: Vni | undefined): string {
  const kind = vni === undefined ? "vxlan" : encapsulationFor(member, vni);
  const how = kind === "vxlan" ? "" : ` (${kind ?? "no encapsulation in common"})`;
  return `${member.nve} ${member.vtep}${how}`;
}
