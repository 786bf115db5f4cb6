import type { Clock, EchoReply, IcmpEcho } from "@nve/linux";
import type { Log } from "@nve/program/log";
import { Instant, type IpAddress, type NveId, type VnId } from "@nve/protocol-spec";
import {
  beginPath,
  lengthOf,
  needs,
  type Path,
  type PathEvent,
  stepPath,
  type Timing,
} from "./path.ts";

export type ProbeOptions = {
  intervalMs: number;
  /** Probes to all together, at most. */
  perSecond: number;
  /** 0 up to, not including, 1. */
  random: () => number;
  /** @throws Error when there is no ICMP to be had */
  open(hear: (reply: EchoReply) => void): IcmpEcho;
};

/** Another NVE, and the longest IP packet that the VNs with members there send to it: 0, not known. */
export type PeerNeed = { vtep: IpAddress; nves: NveId[]; vns: VnId[]; need: number };

export type ProbedPeer = PeerNeed & { path?: Path };

type Wiring = {
  /** All there are now. */
  peers(): readonly PeerNeed[];
  isOverIpv6: boolean;
  clock: Clock;
  log: Log;
};

/** How often it is looked who is there. */
const LOOK_MS = 2000;
/** Of `warnings`. */
const MOST = 10;

/** Finds black holes on the ways to other NVEs (A10): echoes as long as what the VNs send, and shorter ones if none comes back. */
export class Probing {
  readonly #wiring: Wiring;
  readonly #options: ProbeOptions | undefined;
  readonly #timing: Timing | undefined;
  readonly #echo: IcmpEcho | undefined;
  readonly #paths = new Map<IpAddress, Path>();
  readonly #out = new Map<number, IpAddress>();
  readonly #sequences = new Map<IpAddress, number>();
  #peers: readonly PeerNeed[] = [];
  #sequence = 0;
  #callOff: (() => void) | undefined;
  #looksAt: Instant;

  /** @param options absent: nothing is probed */
  constructor(wiring: Wiring, options: ProbeOptions | undefined) {
    this.#wiring = wiring;
    this.#options = options;
    this.#looksAt = wiring.clock.now();
    if (options === undefined) return;
    const { intervalMs, random } = options;
    this.#timing = { floor: wiring.isOverIpv6 ? 1280 : 576, intervalMs, random };
    try {
      this.#echo = options.open((reply) => this.#hear(reply));
    } catch (error) {
      const reason = error instanceof Error ? error.message : String(error);
      wiring.log.warn({ reason }, "ways to other NVEs are not probed: black holes go unseen");
      return;
    }
    this.#soon(Instant(wiring.clock.now() + LOOK_MS));
  }

  /** Every other NVE, by address. */
  peers(): readonly ProbedPeer[] {
    return this.#wiring.peers().map((peer) => {
      const path = this.#paths.get(peer.vtep);
      return { ...peer, ...(path && { path }) };
    });
  }

  get isOn(): boolean {
    return this.#echo !== undefined;
  }

  get warnings(): readonly string[] {
    const holes = this.#peers.flatMap((peer) => {
      const path = this.#paths.get(peer.vtep);
      return path?.state === "black-hole" ? [textOf(peer, path)] : [];
    });
    const more = holes.length - MOST;
    return more > 0 ? [...holes.slice(0, MOST), `and ${more} more NVEs`] : holes;
  }

  close(): void {
    this.#callOff?.();
    this.#echo?.close();
  }

  #soon(at: Instant): void {
    this.#callOff?.();
    this.#callOff = this.#wiring.clock.at(at, () => this.#tick());
  }

  /** One probe at most, and so bounded in time: then the next, no sooner than it may. */
  #tick(): void {
    const { clock } = this.#wiring;
    const now = clock.now();
    if (now >= this.#looksAt) this.#look(now);
    for (const [vtep, path] of this.#paths) {
      if (path.isOut && now >= path.at) this.#step(vtep, { on: "lost" });
    }
    const due = [...this.#paths].filter(([, { isOut, at }]) => !isOut && at <= now);
    const [first] = due.sort(([, a], [, b]) => a.at - b.at);
    if (first !== undefined) this.#send(first[0]);
    const { perSecond = 1 } = this.#options ?? {};
    const next = Math.min(this.#looksAt, ...[...this.#paths.values()].map(({ at }) => at));
    this.#soon(Instant(Math.max(now + 1000 / perSecond, next)));
  }

  #look(now: Instant): void {
    this.#looksAt = Instant(now + LOOK_MS);
    this.#peers = this.#wiring.peers();
    const there = new Set(this.#peers.map(({ vtep }) => vtep));
    for (const vtep of this.#paths.keys()) if (!there.has(vtep)) this.#forget(vtep);
    const { intervalMs = 0, random = () => 0 } = this.#options ?? {};
    for (const { vtep, need } of this.#peers) {
      const path = this.#paths.get(vtep);
      if (need === 0) continue;
      if (path !== undefined) this.#put(vtep, needs(path, need, now));
      else this.#paths.set(vtep, beginPath(need, now, random() * Math.min(1000, intervalMs)));
    }
  }

  #forget(vtep: IpAddress): void {
    this.#paths.delete(vtep);
    this.#out.delete(this.#sequences.get(vtep) ?? -1);
    this.#sequences.delete(vtep);
  }

  #send(vtep: IpAddress): void {
    const path = this.#paths.get(vtep);
    if (path === undefined || this.#timing === undefined) return;
    const length = lengthOf(path, this.#timing);
    this.#sequence = (this.#sequence + 1) & 0xffff;
    const sequence = this.#sequence;
    this.#out.delete(this.#sequences.get(vtep) ?? -1);
    this.#out.set(sequence, vtep);
    this.#sequences.set(vtep, sequence);
    this.#step(vtep, { on: "sent" });
    void this.#echo?.send(vtep, sequence, length).then((isSent) => {
      if (!isSent && this.#out.get(sequence) === vtep) this.#answered(sequence, { on: "lost" });
    });
  }

  #hear({ from, sequence }: EchoReply): void {
    if (this.#out.get(sequence) === from) this.#answered(sequence, { on: "reply" });
  }

  #answered(sequence: number, event: PathEvent): void {
    const vtep = this.#out.get(sequence);
    this.#out.delete(sequence);
    if (vtep !== undefined && this.#paths.get(vtep)?.isOut) this.#step(vtep, event);
  }

  #step(vtep: IpAddress, event: PathEvent): void {
    const path = this.#paths.get(vtep);
    if (path === undefined || this.#timing === undefined) return;
    this.#put(vtep, stepPath(path, event, this.#wiring.clock.now(), this.#timing));
  }

  /** Says what has become of the way, if it is another. */
  #put(vtep: IpAddress, path: Path): void {
    const was = this.#paths.get(vtep);
    this.#paths.set(vtep, path);
    if (was === undefined || (was.state === path.state && was.mtu === path.mtu)) return;
    const peer = this.#peers.find((one) => one.vtep === vtep);
    if (peer === undefined) return;
    const { nves, vns } = peer;
    const { need, mtu: pathMtu } = path;
    const { log } = this.#wiring;
    const about = { vtep, nves, vns: vns.slice(0, MOST), need, pathMtu };
    if (path.state === "black-hole") log.warn(about, `black hole: ${textOf(peer, path)}`);
    else if (was.state === "black-hole" && path.state === "ok")
      log.info(about, "no black hole any more: the longest packets arrive again");
    else if (path.state === "silent" && was.state !== "silent")
      log.info(about, "no echo comes back: it cannot be said how long packets may be");
  }
}

const textOf = ({ nves, vtep }: PeerNeed, { mtu, need }: Path): string =>
  `packets to ${nves.join(" ")} ${vtep} arrive up to ${mtu} octets, and its VNs send ${need}: raise the MTU on the way, or lower the VNs'`;
