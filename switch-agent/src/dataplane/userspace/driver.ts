import { openRtnetlink, SystemError } from "@nve/linux";
import { type Log, Refused } from "@nve/program";
import { type IpAddress, isIpv6, type Mac, type Vni } from "@nve/protocol-spec";
import type { Sample } from "../../nve/glean.ts";
import {
  type Encapsulation,
  type Intent,
  intentKey,
  type LocalPlace,
  type Place,
} from "../../nve/intents.ts";
import { MAX_ACL_RULES } from "../../nve/profile.ts";
import type { Dataplane, DataplaneCounters } from "../dataplane.ts";
import { dropReasons } from "../ebpf/maps.ts";
import { DataplaneError } from "../error.ts";
import { decide, type Ingress } from "./decide.ts";
import type { Direction, Output, Reason } from "./decision.ts";
import { type FramePort, hold, type OpenFramePort, openFramePort } from "./frame-port.ts";
import { sightKey } from "./glean.ts";
import { Meters } from "./meters.ts";
import { Shown } from "./shown.ts";
import { Tables } from "./tables.ts";
import { Underlay } from "./underlay.ts";

type UserspaceDataplaneOptions = {
  /** This NVE's address in the underlay; all remote VTEPs are of its family. */
  vtep: IpAddress;
  /** UDP port of the underlay; default 4789 (RFC 7348 §5). */
  port?: number;
  /** What is taken from other NVEs; VXLAN always. */
  encapsulations?: readonly ("vxlan" | Encapsulation)[];
  /** `off`: VNICs, ports and other NVEs are not counted one by one; default "on". */
  meters?: "on" | "off";
  /** How frames go in and out; default: packet sockets. */
  openPort?: OpenFramePort;
  log: Log;
};

/**
 * The dataplane in TypeScript: to read what becomes of a frame (decide.ts), and to compare other drivers with. Not for
 * traffic: a frame costs tens of microseconds, and the kernel's own stack sees what comes in at access ports, too.
 * @throws Refused when packet sockets are not permitted, or the UDP port is taken
 */
export async function openUserspaceDataplane(
  options: UserspaceDataplaneOptions,
): Promise<Dataplane> {
  const { vtep, port = 4789, encapsulations = [], openPort = openFramePort, log } = options;
  const isMetered = options.meters !== "off";
  const takes = encapsulations.filter((one) => one !== "vxlan");
  const holding = permitted(port, () => holdAll(vtep, port, takes.length > 0));
  let dataplane: UserspaceDataplane | undefined;
  try {
    dataplane = new UserspaceDataplane({
      tables: new Tables(vtep, port, takes),
      ...{ holding, openPort, isMetered, log },
    });
    await dataplane.begin();
    log.info({ vtep, port }, "dataplane is open: in userspace, not for traffic");
    return dataplane;
  } catch (error) {
    await dataplane?.close();
    holding.close();
    throw error;
  }
}

function holdAll(vtep: IpAddress, port: number, isGreToo: boolean): { close(): void } {
  const family = isIpv6(vtep) ? 6 : 4;
  const held = [hold(family, port), ...(isGreToo ? [hold(family, "gre")] : [])];
  return {
    close: () => {
      for (const one of held.splice(0)) one.close();
    },
  };
}

function permitted<T>(port: number, act: () => T): T {
  try {
    return act();
  } catch (cause) {
    if (!(cause instanceof SystemError)) throw cause;
    if (cause.code === "EADDRINUSE") {
      const why = "by another program, or by what the driver ebpf left (`switch-agent cleanup`)";
      throw new Refused(`UDP port ${port} is taken ${why}`, { cause });
    }
    if (cause.code !== "EPERM" && cause.code !== "EACCES") throw cause;
    throw new Refused("packet sockets are not permitted: run as root or with CAP_NET_RAW", {
      cause,
    });
  }
}

type Parts = {
  tables: Tables;
  holding: { close(): void };
  openPort: OpenFramePort;
  isMetered: boolean;
  log: Log;
};
type Counts = DataplaneCounters["vns"][number];

const zeroCounts = { accessIn: 0, accessOut: 0, overlayIn: 0, overlayOut: 0, flooded: 0 };

class UserspaceDataplane implements Dataplane {
  readonly #parts: Parts;
  readonly #underlay: Underlay;
  readonly #kernel = openRtnetlink();
  readonly #ports = new Map<string, FramePort>();
  readonly #counts = new Map<Vni, Counts>();
  readonly #drops = new Map<Reason, number>();
  readonly #meters = new Meters();
  /** VNs whose group was warned of. */
  readonly #grouped = new Set<Vni>();
  readonly #seen = new Shown();
  readonly #wanted = new Shown();
  #closed = false;

  constructor(parts: Parts) {
    this.#parts = parts;
    const { tables, openPort, log } = parts;
    this.#underlay = new Underlay({
      ...{ tables, openPort, log },
      isAccess: (index) => [...this.#ports.values()].some((port) => port.index === index),
      receive: (frame, mac) => this.#receive({ underlay: mac }, frame),
    });
  }

  begin(): Promise<void> {
    return this.#underlay.begin();
  }

  get mtu(): number | undefined {
    return this.#parts.tables.mtu || undefined;
  }

  async ensure(intents: readonly Intent[]): Promise<void> {
    const { tables } = this.#open();
    const failed: { intent: Intent; reason: string }[] = [];
    for (const intent of intents) {
      const places = placesOf(intent);
      const reason =
        tooManyRules(intent) ?? places.flatMap((place) => unreachable(place, tables.vtep) ?? [])[0];
      if (reason !== undefined) {
        failed.push({ intent, reason });
        continue;
      }
      this.#warnOfGroup(intent);
      tables.put(intent);
      if (intent.is === "vn" && !this.#counts.has(intent.vni)) {
        this.#counts.set(intent.vni, { vni: intent.vni, ...zeroCounts });
      }
      for (const place of places) if (place.is === "remote") this.#underlay.want(place.vtep);
    }
    this.#forgetMeters();
    await this.#underlay.settled();
    if (failed.length > 0) throw new DataplaneError(failed);
  }

  async remove(intents: readonly Intent[]): Promise<void> {
    const { tables } = this.#open();
    for (const intent of intents) {
      tables.take(intent);
      if (intent.is === "vn") this.#counts.delete(intent.vni);
    }
    this.#forgetMeters();
  }

  async prune(wanted: readonly Intent[]): Promise<void> {
    const keep = new Set(wanted.map(intentKey));
    const all = [...this.#open().tables.intents()];
    await this.remove(all.filter((intent) => !keep.has(intentKey(intent))));
  }

  async portUp(name: string): Promise<void> {
    const { tables, openPort, log } = this.#open();
    const link = await this.#kernel.link(name);
    if (this.#closed || link?.index === this.#ports.get(name)?.index) return;
    this.#take(name);
    if (link === undefined) return;
    const receive = (frame: Uint8Array): void => this.#receive({ port: name }, frame);
    this.#ports.set(name, openPort(link, receive));
    tables.portsThere.add(name);
    log.info({ port: name, ifindex: link.index }, "port attached");
  }

  async portDown(name: string): Promise<void> {
    this.#open();
    this.#take(name);
  }

  onSamples(hear: (samples: readonly Sample[]) => void): void {
    this.#open();
    this.#seen.listen(hear);
  }

  onWanted(hear: (samples: readonly Sample[]) => void): void {
    this.#open();
    this.#wanted.listen(hear);
  }

  unusedMs(vni: Vni, mac: Mac): number | undefined {
    return this.#silence(sightKey("used", vni, mac));
  }

  silentMs(vni: Vni, mac: Mac, { port, vid }: LocalPlace): number | undefined {
    return this.#silence(sightKey("mac", vni, port, vid, mac));
  }

  async counters(): Promise<DataplaneCounters> {
    this.#open();
    const reasons: readonly Reason[] = [...dropReasons, "not-sent"];
    const drops = reasons.map((reason) => [reason, this.#drops.get(reason) ?? 0]);
    const vns = [...this.#counts.values()].map((counts) => ({ ...counts }));
    const meters = this.#parts.isMetered && { meters: this.#meters.counts() };
    return { vns, drops: Object.fromEntries(drops), ...meters };
  }

  /** What waits for an absent port is not among them. */
  async applied(): Promise<readonly Intent[]> {
    const { tables } = this.#open();
    const isThere = (place: Place): boolean =>
      place.is === "remote" || tables.portsThere.has(place.port);
    return [...tables.intents()].flatMap((intent): Intent[] => {
      if (intent.is === "vn") return [{ ...intent, flood: intent.flood.filter(isThere) }];
      if (intent.is === "access") return tables.portsThere.has(intent.port) ? [intent] : [];
      return isThere(intent.at) ? [intent] : [];
    });
  }

  async close(): Promise<void> {
    if (this.#closed) return;
    this.#closed = true;
    for (const name of [...this.#ports.keys()]) this.#take(name);
    this.#underlay.close();
    this.#kernel.close();
    this.#parts.holding.close();
    this.#seen.close();
    this.#wanted.close();
  }

  #take(name: string): void {
    this.#ports.get(name)?.close();
    this.#ports.delete(name);
    this.#parts.tables.portsThere.delete(name);
  }

  #receive(ingress: Ingress, frame: Uint8Array): void {
    const { outputs, drops, counts, metered, seen, wanted } = decide(
      this.#parts.tables,
      ingress,
      frame,
      now(),
    );
    for (const output of outputs) this.#send(output);
    for (const reason of drops) this.#dropped(reason);
    for (const { vni, what } of counts) this.#count(vni, what);
    for (const reading of metered) this.#meters.add(reading);
    for (let lost = this.#seen.add(seen); lost > 0; lost--) this.#dropped("glean-overrun");
    for (let lost = this.#wanted.add(wanted); lost > 0; lost--) this.#dropped("pull-overrun");
  }

  #send(output: Output): void {
    if (output.to === "port") this.#ports.get(output.port)?.send(output.frame);
    else if (!this.#underlay.send(output.link, output.frame)) this.#dropped("not-sent");
  }

  /** Said once: what others send to a group of the underlay would be missed in silence. */
  #warnOfGroup(intent: Intent): void {
    if (intent.is !== "vn" || intent.group === undefined || this.#grouped.has(intent.vni)) return;
    this.#grouped.add(intent.vni);
    const { vni, group } = intent;
    const how = "one copy goes to each NVE, and what others send to the group is not heard";
    this.#parts.log.warn({ vni, group }, `no groups of the underlay in userspace: ${how}`);
  }

  #forgetMeters(): void {
    const { tables } = this.#parts;
    this.#meters.forget(({ vni, vnic }) => !tables.hasVnic(vni, vnic));
  }

  #dropped(reason: Reason): void {
    this.#drops.set(reason, (this.#drops.get(reason) ?? 0) + 1);
  }

  #count(vni: Vni, what: Direction): void {
    const counts = this.#counts.get(vni);
    if (counts !== undefined) counts[what] += 1;
  }

  #silence(key: string): number | undefined {
    const sight = this.#open().tables.clocks.sight(key);
    return sight && Math.max(0, (now() - sight.seen) / 1e6);
  }

  #open(): Parts {
    if (this.#closed) throw new Error("the dataplane is closed");
    return this.#parts;
  }
}

function tooManyRules(intent: Intent): string | undefined {
  const rules = intent.is === "vn" ? (intent.acl?.length ?? 0) : 0;
  return rules > MAX_ACL_RULES
    ? `an ACL has ${MAX_ACL_RULES} rules at most, not ${rules}`
    : undefined;
}

const now = (): number => performance.now() * 1e6;

function placesOf(intent: Intent): readonly Place[] {
  if (intent.is === "vn") return intent.flood;
  return intent.is === "mac" ? [intent.at] : [];
}

function unreachable(place: Place, own: IpAddress): string | undefined {
  if (place.is === "local") return undefined;
  if (place.vtep === own) return `VTEP ${own} is this NVE itself`;
  if (isIpv6(place.vtep) === isIpv6(own)) return undefined;
  return `VTEP ${place.vtep} and this NVE's, ${own}, are not of one address family`;
}
