import type { BpfMap, BpfObject, BpfRing } from "@nve/linux/bpf";
import { interfaceName, struct, u32, u64 } from "@nve/linux/bpf";
import { NotFound, Refused } from "@nve/program/errors";
import type { Capture, Captured, CaptureFilter, HearCaptured } from "../capture.ts";
import { type CapturedNames, readCaptured } from "./captured.ts";
import { configFlag, type KernelConfig } from "./maps.ts";
import type { Meters } from "./meters.ts";

/** `struct capture` of programs/capture.h. */
type KernelCapture = {
  until: number;
  interval: number;
  ahead: number;
  ifindex: number;
  vni: number;
  dropsOnly: number;
  octets: number;
};

const layout = struct<KernelCapture>({
  until: u64,
  interval: u64,
  ahead: u64,
  ifindex: u32,
  vni: u32,
  dropsOnly: u32,
  octets: u32,
});

type Parts = {
  object: BpfObject;
  config: BpfMap<number, KernelConfig>;
  names: CapturedNames & { indexOf(port: string): number | undefined };
};

type Client = { filter: CaptureFilter; hear: HearCaptured };

/** How often the ring is looked at, milliseconds; and how many frames at once. */
const PAUSE_MS = 50;
const BATCH = 4096;
/** Programs go on telling so long without a word from us, nanoseconds: then we are gone. */
const PATIENCE_NS = 2_000_000_000;
/** Frames a second, and at once. */
const RATE = { interval: 200_000, ahead: 1000 * 200_000 };
/** Captures at a time. */
const MOST = 8;

/**
 * Frames and what became of them, for all who capture: the programs tell what any of them wants, and each gets what it asked
 * for. While nobody does, the programs do nothing of it.
 */
export class Captures {
  readonly #parts: Parts;
  readonly #kernel: BpfMap<number, KernelCapture>;
  readonly #lost: BpfMap<number, number>;
  readonly #clients = new Set<Client>();
  #ring: BpfRing | undefined;
  #timer: NodeJS.Timeout | undefined;
  #lostBefore = 0;

  constructor(parts: Parts) {
    this.#parts = parts;
    this.#kernel = parts.object.map("capture", u32, layout);
    this.#lost = parts.object.map("capture_lost", u32, u64);
  }

  /** @throws NotFound of a port that is not there; Refused when too many capture */
  open(filter: CaptureFilter, hear: HearCaptured): Capture {
    if (filter.port !== undefined && this.#parts.names.indexOf(filter.port) === undefined) {
      throw new NotFound(
        `no access port ${filter.port} is there: \`switch-agent show ports\` has them all`,
      );
    }
    if (this.#clients.size >= MOST) {
      throw new Refused(`${MOST} captures run already: end one of them first`);
    }
    const client = { filter, hear };
    this.#clients.add(client);
    try {
      if (this.#clients.size === 1) this.#begin();
      else this.#say();
    } catch (error) {
      this.#remove(client);
      throw error;
    }
    return { close: () => this.#remove(client) };
  }

  close(): void {
    this.#clients.clear();
    this.#end();
  }

  #remove(client: Client): void {
    if (!this.#clients.delete(client)) return;
    if (this.#clients.size === 0) this.#end();
    else this.#say();
  }

  #begin(): void {
    this.#ring = this.#parts.object.ring("captures");
    while (this.#ring.take(BATCH).length === BATCH); // of an earlier run
    this.#lostBefore = this.#lost.get(0) ?? 0;
    this.#say();
    this.#setFlag(true);
    this.#timer = setInterval(() => this.#look(), PAUSE_MS);
    this.#timer.unref();
  }

  #end(): void {
    if (this.#ring === undefined) return;
    clearInterval(this.#timer);
    this.#setFlag(false);
    this.#ring.close();
    this.#ring = undefined;
  }

  #setFlag(on: boolean): void {
    const { config } = this.#parts;
    const is = config.get(0);
    if (is === undefined) return;
    const flags = on ? is.flags | configFlag.captured : is.flags & ~configFlag.captured;
    config.set(0, { ...is, flags });
  }

  /** What any of them wants. */
  #say(): void {
    const filters = [...this.#clients].map(({ filter }) => filter);
    const same = <T>(of: (filter: CaptureFilter) => T): T | undefined => {
      const all = new Set(filters.map(of));
      return all.size === 1 ? [...all][0] : undefined;
    };
    const port = same((filter) => filter.port);
    this.#kernel.set(0, {
      until: Number(process.hrtime.bigint()) + PATIENCE_NS,
      ...RATE,
      ifindex: (port === undefined ? undefined : this.#parts.names.indexOf(port)) ?? 0,
      vni: same((filter) => filter.vni) ?? 0,
      dropsOnly: filters.every((filter) => filter.dropsOnly === true) ? 1 : 0,
      octets: Math.max(...filters.map((filter) => filter.octets)),
    });
  }

  #look(): void {
    if (this.#ring === undefined) return;
    this.#say();
    const { names } = this.#parts;
    const frames = this.#ring.take(BATCH).flatMap((record) => readCaptured(record, names) ?? []);
    const all = this.#lost.get(0) ?? 0;
    const lost = all - this.#lostBefore;
    this.#lostBefore = all;
    if (frames.length === 0 && lost === 0) return;
    for (const { filter, hear } of [...this.#clients]) {
      const wanted = frames.filter((frame) => isWanted(frame, filter));
      hear(
        wanted.map((frame) => ({ ...frame, octets: frame.octets.subarray(0, filter.octets) })),
        lost,
      );
    }
  }
}

type Open = {
  object: BpfObject;
  maps: { config: BpfMap<number, KernelConfig> };
  ports: { indexOf(port: string): number | undefined };
};

/** Those of an open dataplane. */
export const capturesOf = ({ object, maps, ports }: Open, meters: Meters): Captures =>
  new Captures({
    object,
    config: maps.config,
    names: {
      indexOf: (port) => ports.indexOf(port),
      linkOf: (ifindex) => interfaceName(ifindex) ?? `interface ${ifindex}`,
      meterOf: (number) => meters.whoHas(number),
    },
  });

function isWanted(frame: Captured, { port, vni, dropsOnly }: CaptureFilter): boolean {
  const { from, link, to } = frame;
  if (vni !== undefined && frame.vni !== vni) return false;
  if (dropsOnly && frame.reason === undefined) return false;
  if (port === undefined || (from.is === "port" && link === port)) return true;
  return to?.is === "port" && to.port === port;
}
