import { release } from "node:os";
import { fileURLToPath } from "node:url";
import {
  type AttachKind,
  type Attachment,
  attachIngress,
  BpfError,
  type BpfObject,
  Grace,
  IngressPorts,
  openBpfObject,
} from "@nve/linux/bpf";
import { type Log, Refused } from "@nve/program";
import { type IpAddress, isIpv6, type Mac, type Vni } from "@nve/protocol-spec";
import type { Sample } from "../../nve/glean.ts";
import {
  type Encapsulation,
  type Intent,
  intentKey,
  type LocalPlace,
  type MacIntent,
  type RemotePlace,
} from "../../nve/intents.ts";
import type { Capture, CaptureFilter, HearCaptured } from "../capture.ts";
import type { Dataplane, DataplaneCounters, DataplaneTable } from "../dataplane.ts";
import { DataplaneError } from "../error.ts";
import type { Trace, TraceNames, TraceQuestion } from "../trace.ts";
import { type Captures, capturesOf } from "./capture.ts";
import { Estate, handle, type LoadObject, type Pins } from "./estate.ts";
import { failing } from "./failing.ts";
import { type FastPath, openFastPath } from "./fast-path.ts";
import { Forwarding } from "./forwarding.ts";
import { type Groups, openGroups } from "./groups.ts";
import { configFlag, networkOrder, type TorMaps, torMaps } from "./maps.ts";
import { Meters } from "./meters.ts";
import { readCounters, readIntents } from "./read-back.ts";
import { IntentRecord } from "./record.ts";
import { Samples } from "./samples.ts";
import { sweep, sweepIps } from "./sweep.ts";
import { maxEntriesOf, type TableSizes, tablesOf } from "./tables.ts";
import { takeOver } from "./take-over.ts";
import { traceFrame } from "./trace/trace.ts";
import { viewOf } from "./trace/view.ts";
import { openTunnelDevice, type TunnelDevice } from "./tunnel.ts";

type EbpfDataplaneOptions = {
  /** This NVE's address in the underlay; all remote VTEPs are of its family. */
  vtep: IpAddress;
  /** Name of the tunnel device that is made; default "nve-vxlan". */
  device?: string;
  /** UDP port of the underlay; default 4789 (RFC 7348 §5). */
  port?: number;
  /** How programs are attached; default "auto": TCX where the kernel has it. */
  attach?: AttachKind | "auto";
  /** `off`: all tunnels by the kernel's tunnel device; default "auto": by hand what can be. */
  fastPath?: "auto" | "off";
  /** What is taken from other NVEs; default VXLAN. All but VXLAN is done by hand alone. */
  encapsulations?: readonly ("vxlan" | Encapsulation)[];
  /** Where maps and programs are pinned, so that they outlive the process; absent: they do not. */
  pins?: Pins | undefined;
  /** Entries at most, by table, if not as usual. */
  tables?: TableSizes | undefined;
  /** `off`: VNICs, ports and other NVEs are not counted one by one; default "on". */
  meters?: "on" | "off" | undefined;
  /** How the object file of the programs is loaded; default `openBpfObject`. */
  load?: LoadObject | undefined;
  /** How long other NVEs have to join a VN's group before it is sent to, milliseconds; default 3000. */
  groupSettleMs?: number | undefined;
  log: Log;
};

/** The tunnel device, if nobody says otherwise. */
export const TUNNEL_DEVICE = "nve-vxlan";

const objectPath = fileURLToPath(new URL("../../../build/tor.bpf.o", import.meta.url));

/**
 * The eBPF dataplane: tc programs on the access ports and on a kernel vxlan device in external mode, driven by
 * one set of maps. What an earlier run left behind is taken over where it was pinned, and else replaced.
 * @throws Refused when BPF or vxlan is not permitted, the device's name or port is taken, or another agent forwards
 */
export async function openEbpfDataplane(options: EbpfDataplaneOptions): Promise<Dataplane> {
  const { vtep, device = TUNNEL_DEVICE, port = 4789, attach = "auto", fastPath = "auto" } = options;
  const { pins, encapsulations = [], load = openBpfObject, log } = options;
  const isByHand = fastPath === "auto" || encapsulations.some((one) => one !== "vxlan");
  const estate = permitted(() => new Estate({ pins, device, port, vtep, load, log }));
  let object: BpfObject | undefined;
  let tunnel: TunnelDevice | undefined;
  let overlay: Attachment | undefined;
  let fast: FastPath | undefined;
  let groups: Groups | undefined;
  try {
    object = permitted(() => estate.open(objectPath, maxEntriesOf(options.tables)));
    const inherited = estate.tunnel;
    tunnel = await openTunnelDevice({ device, port, vtep, inherited, log });
    const maps = torMaps(object);
    const flags = encapsulations.reduce(
      (all, one) => all | (one === "vxlan" ? 0 : configFlag[one]),
      (fastPath === "auto" ? configFlag.fastPath : 0) |
        (options.meters === "off" ? 0 : configFlag.metered),
    );
    maps.config.set(0, { tunnel: tunnel.ifindex, vtep, port: networkOrder(port), flags });
    estate.bequeath(object, tunnel.ifindex);
    const how = { kind: attach, handle, ...(estate.folder && { pins: estate.folder.path }) };
    overlay = attachIngress(object.program("tor_overlay"), tunnel.ifindex, how);
    await tunnel.up();
    log.info({ device, vtep, port, attach: overlay.kind }, "dataplane is open");
    const promiscuous = estate.book(object) ?? true;
    const ports = new IngressPorts(object.program("tor_access"), { ...how, promiscuous });
    if (inherited !== undefined) for (const port of estate.ports(object)) ports.up(port);
    if (isByHand) {
      const program = object.program("tor_underlay");
      const isAccess = (ifindex: number) => ports.nameOf(ifindex) !== undefined;
      fast = await openFastPath({ program, how, table: maps.nextHops, vtep, isAccess, log });
    }
    groups = await openGroups({ vtep, settleMs: options.groupSettleMs ?? 3000, log });
    const dataplane = new EbpfDataplane({
      ...{ device, estate, object, maps, tunnel, overlay, fast, ports, groups, vtep, log },
    });
    if (inherited === undefined) groups.begin();
    else dataplane.takeOver();
    return dataplane;
  } catch (error) {
    groups?.release();
    if (estate.tunnel === undefined) {
      fast?.close();
      overlay?.detach();
      await tunnel?.close();
      estate.renounce();
    } else {
      fast?.release();
      overlay?.release();
      tunnel?.release();
    }
    object?.close();
    estate.close();
    throw error;
  }
}

function permitted<T>(act: () => T): T {
  try {
    return act();
  } catch (cause) {
    if (!(cause instanceof BpfError)) throw cause;
    if (cause.errno === "ENOENT") throw new Refused(cause.message, { cause });
    if (cause.errno !== "EPERM" && cause.errno !== "EACCES") throw cause;
    // The verifier says EACCES, too; it tells how far it came.
    if (cause.log.some((line) => /processed \d+ insns/.test(line)))
      throw new Refused(`Linux ${release()} does not take the programs: ${cause.message}`, {
        cause,
      });
    throw new Refused("BPF is not permitted: run as root or with CAP_BPF and CAP_NET_ADMIN", {
      cause,
    });
  }
}

type Parts = {
  device: string;
  estate: Estate;
  object: BpfObject;
  maps: TorMaps;
  tunnel: TunnelDevice;
  overlay: Attachment;
  fast: FastPath | undefined;
  ports: IngressPorts;
  groups: Groups;
  vtep: IpAddress;
  log: Log;
};

class EbpfDataplane implements Dataplane {
  readonly #parts: Parts;
  readonly #record = new IntentRecord();
  readonly #forwarding: Forwarding;
  readonly #meters: Meters;
  readonly #samples: Samples;
  readonly #captures: Captures;
  readonly #grace = new Grace();
  /** Those that somebody has said are there. */
  readonly #wantedPorts = new Set<string>();
  #inherited: readonly Intent[] | undefined;
  #closed = false;

  constructor(parts: Parts) {
    this.#parts = parts;
    this.#meters = new Meters(parts.maps);
    this.#forwarding = new Forwarding(parts.maps, this.#record, this.#meters, {
      indexOf: (port) => parts.ports.indexOf(port),
      nextHop: (vtep) => parts.fast?.numberOf(vtep) ?? 0,
      group: (vni, group) => parts.groups.set(vni, group),
      maySend: (vni, group) => parts.groups.maySend(vni, group),
      unreachable: (place) => unreachable(place, parts),
      later: (task) => this.#grace.after(task),
    });
    parts.groups.onChange((vni) => this.#forwarding.floodAnew(vni));
    this.#captures = capturesOf(parts, this.#meters);
    this.#samples = new Samples(parts.maps, {
      indexOf: (port) => parts.ports.indexOf(port),
      nameOf: (ifindex) => parts.ports.nameOf(ifindex),
      gleans: () => !this.#closed && this.#record.gleaning.size > 0,
      asks: () => !this.#closed && this.#record.asking.size > 0,
    });
  }

  get mtu(): number | undefined {
    return this.#parts.tunnel.mtu;
  }

  get warnings(): readonly string[] {
    return this.#parts.groups.warnings;
  }

  get inherited(): readonly Intent[] | undefined {
    return this.#inherited;
  }

  tables(): readonly DataplaneTable[] {
    return this.#open(() =>
      tablesOf(this.#parts.maps, this.#record, this.#forwarding.addresses.counts),
    );
  }

  /** Goes on where the last run ended: its ports, and what its maps say. */
  takeOver(): void {
    const { ports, maps, log } = this.#parts;
    this.#inherited = readIntents(maps, (ifindex) => ports.nameOf(ifindex));
    const refused = takeOver(this.#forwarding, this.#inherited);
    for (const reason of refused.slice(0, 3)) log.warn({ reason }, "not taken over");
    this.#parts.groups.begin();
    const counts = { entries: this.#inherited.length, refused: refused.length };
    log.info(counts, "taken over: frames go on as before until stations and the NVA are heard");
  }

  async ensure(intents: readonly Intent[]): Promise<void> {
    this.#open(() => {});
    const macs = intents.filter((intent) => intent.is === "mac");
    const others = intents.filter((intent) => intent.is !== "mac");
    const ensure = (intent: Intent): void => this.#forwarding.ensure(intent);
    const failed = [
      ...failing(others, ensure),
      ...(this.#takes(macs) ? [] : failing(macs, ensure)),
    ];
    if (failed.length > 0) throw new DataplaneError(failed);
    this.#samples.look();
    await this.#parts.fast?.settled();
  }

  async remove(intents: readonly Intent[]): Promise<void> {
    this.#open(() => {});
    const failed = failing(intents, (intent) => this.#forwarding.remove(intent));
    if (failed.length > 0) throw new DataplaneError(failed);
  }

  async prune(wanted: readonly Intent[]): Promise<void> {
    const keep = new Set(wanted.map(intentKey));
    const gone = [...this.#record.intents()].filter((intent) => !keep.has(intentKey(intent)));
    await this.remove(gone);
    if (this.#inherited === undefined) return;
    this.#inherited = undefined;
    const { maps, ports, estate, object } = this.#parts;
    for (const port of estate.ports(object)) {
      if (!this.#wantedPorts.has(port)) this.#forwarding.portChanged(port, this.#lose(port));
    }
    this.#meters.sweep();
    await sweep(maps, this.#record, (port) => ports.indexOf(port));
    await sweepIps(maps, this.#forwarding.addresses);
    await this.#parts.groups.sweep();
    estate.detachOthers((ifindex) => this.#isAttached(ifindex));
  }

  #isAttached(ifindex: number): boolean {
    const { ports, fast, overlay } = this.#parts;
    const isPort = ports.nameOf(ifindex) !== undefined;
    return isPort || ifindex === overlay.ifindex || fast?.isAt(ifindex) === true;
  }

  /** @returns the number of the interface that the port had */
  #lose(port: string): number | undefined {
    const was = this.#parts.ports.indexOf(port);
    this.#parts.ports.down(port);
    return was;
  }

  async portUp(port: string): Promise<void> {
    const { ports } = this.#parts;
    this.#wantedPorts.add(port);
    const was = ports.indexOf(port);
    try {
      this.#open(() => ports.up(port));
    } finally {
      this.#portChanged(port, was);
    }
  }

  async portDown(port: string): Promise<void> {
    const { ports } = this.#parts;
    this.#wantedPorts.delete(port);
    const was = ports.indexOf(port);
    this.#open(() => ports.down(port));
    this.#portChanged(port, was);
  }

  onSamples(hear: (samples: readonly Sample[]) => void): void {
    this.#open(() => this.#samples.listen(hear));
  }

  onWanted(hear: (samples: readonly Sample[]) => void): void {
    this.#open(() => this.#samples.listen(undefined, hear));
  }

  unusedMs(vni: Vni, mac: Mac): number | undefined {
    return this.#open(() => this.#samples.unusedMs(vni, mac));
  }

  silentMs(vni: Vni, mac: Mac, at: LocalPlace): number | undefined {
    return this.#open(() => this.#samples.silentMs(vni, mac, at));
  }

  async counters(): Promise<DataplaneCounters> {
    return this.#open(() => readCounters(this.#parts, this.#record.vns.keys(), this.#meters));
  }

  async applied(): Promise<readonly Intent[]> {
    const { maps, ports } = this.#parts;
    return this.#open(() => readIntents(maps, (ifindex) => ports.nameOf(ifindex)));
  }

  trace(question: TraceQuestion, names: TraceNames): Trace {
    return this.#open(() => traceFrame(viewOf(this.#parts, names), question));
  }

  capture(filter: CaptureFilter, hear: HearCaptured): Capture {
    return this.#open(() => this.#captures.open(filter, hear));
  }

  async close(how?: "keep"): Promise<void> {
    if (this.#closed) return;
    this.#closed = true;
    this.#samples.close();
    this.#captures.close();
    this.#grace.close();
    const { estate, ports, overlay, fast, groups, tunnel, object } = this.#parts;
    if (how === "keep" && estate.folder !== undefined) {
      groups.release();
      ports.release();
      fast?.release();
      overlay.release();
      tunnel.release();
    } else {
      ports.keep(new Set());
      await groups.close();
      fast?.close();
      overlay.detach();
      estate.renounce();
      await tunnel.close();
    }
    object.close();
    estate.close();
  }

  #portChanged(port: string, was: number | undefined): void {
    const { ports, fast, log } = this.#parts;
    const ifindex = ports.indexOf(port);
    if (ifindex === was) return;
    for (const one of [was, ifindex]) if (one !== undefined) fast?.accessChanged(one);
    this.#forwarding.portChanged(port, was);
    log.info({ port, ifindex }, ifindex === undefined ? "port detached" : "port attached");
  }

  /** @returns whether all of them are so now */
  #takes(macs: readonly MacIntent[]): boolean {
    try {
      this.#forwarding.ensureMacs(macs);
      return true;
    } catch {
      return false;
    }
  }

  #open<T>(act: () => T): T {
    if (this.#closed) throw new Error("the dataplane is closed");
    return act();
  }
}

function unreachable({ vtep, encapsulation }: RemotePlace, { vtep: own, fast }: Parts) {
  if (vtep === own) return `VTEP ${vtep} is this NVE itself`;
  if (isIpv6(vtep) !== isIpv6(own)) {
    return `VTEP ${vtep} and this NVE's, ${own}, are not of one address family`;
  }
  if (encapsulation === undefined || (fast?.numberOf(vtep) ?? 0) !== 0) return undefined;
  return `no way to VTEP ${vtep} by ${encapsulation}: too many VTEPs, or it is not in the config`;
}
