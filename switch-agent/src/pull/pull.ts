import { Instant, type IpAddress, type Mac, type VnId } from "@nve/protocol-spec";

/** Whom somebody here speaks to, or asks for in ARP and neighbour discovery. */
export type Wanted = { mac: Mac } | { ip: IpAddress };

export type PullEvent =
  /** We are in this VN from now on and its mappings are not told, or no more. */
  | { on: "enter" | "leave"; vn: VnId }
  /** Somebody at `port` looks for what the dataplane does not know. */
  | { on: "wanted"; vn: VnId; port: string; address: Wanted }
  /** What the NVA answered; `none` holds for `lifetimeMs`. */
  | ({ on: "answer"; vn: VnId; address: Wanted; serial: number } & Answer)
  /** When the MAC was last spoken to, of one that `due` named; undefined: not known. */
  | { on: "used"; vn: VnId; mac: Mac; at: Instant | undefined };

export type Answer =
  | { is: "found"; mac: Mac }
  | { is: "none"; lifetimeMs: number }
  | { is: "unreachable" };

export type PullAction =
  | { do: "ask"; vn: VnId; address: Wanted; serial: number }
  /** Believe what was found, and hear of its changes. */
  | { do: "keep"; vn: VnId; mac: Mac }
  | { do: "forget"; vn: VnId; mac: Mac };

export type PullOptions = {
  /** Questions under way at most. */
  perVn: number;
  perPort: number;
  /** MACs of one VN that are kept, and answers "none" that are remembered. */
  kept: number;
  nones: number;
  /** A MAC that nobody has spoken to for so long is forgotten, milliseconds. */
  forgetMs: number;
  /** One that is kept and looked for all the same is asked for again so often at the most, milliseconds. */
  againMs: number;
};

export const pullDefaults: PullOptions = {
  perVn: 64,
  perPort: 32,
  kept: 16_384,
  nones: 4096,
  forgetMs: 300_000,
  againMs: 5000,
};

/**
 * `asked`, `found`, `none`, `unreachable`: questions and how they were answered; of those who were looked for and not
 * asked for: `known-none` is remembered, `known` is kept and told by the NVA, `asking` is under way, `busy` was too
 * much at a time, `full` has no room.
 */
export type PullCount =
  | "asked"
  | "found"
  | "none"
  | "unreachable"
  | "known-none"
  | "known"
  | "asking"
  | "busy"
  | "full";

type Kept = { asked: Instant; due: Instant; ips: Set<IpAddress> };
type Vn = {
  kept: Map<Mac, Kept>;
  /** Which MAC was found for an IP. */
  ips: Map<IpAddress, Mac>;
  /** Until when there is no such address, the oldest answer first. */
  nones: Map<string, Instant>;
  asking: Map<string, { serial: number; port: string }>;
};

/** IPs by which one MAC was found that are remembered. */
const IPS_PER_MAC = 32;

/**
 * The VNs whose mappings the NVE asks for one by one (A18). Whatever is looked for, the questions under way and what
 * is remembered are bounded, and a definite "none" is not asked for again while it holds.
 *
 *   wanted ─► asking ─found─► kept ─not used─► (forgotten)
 *                ├───none───► none ─lifetime─► (forgotten)
 *                └unreachable► (forgotten)
 */
export class Pull {
  readonly #options: PullOptions;
  readonly #vns = new Map<VnId, Vn>();
  readonly #atPort = new Map<string, number>();
  #serial = 0;
  readonly counters: Record<PullCount, number> = {
    asked: 0,
    found: 0,
    none: 0,
    unreachable: 0,
    "known-none": 0,
    known: 0,
    asking: 0,
    busy: 0,
    full: 0,
  };

  constructor(options: PullOptions = pullDefaults) {
    this.#options = options;
  }

  /** Whether this VN is in pull here. */
  has(vn: VnId): boolean {
    return this.#vns.has(vn);
  }

  /** In no VN. */
  get isIdle(): boolean {
    return this.#vns.size === 0;
  }

  /** What is kept of a VN, what is remembered not to be, and what is under way. */
  sizes(vn: VnId): { kept: number; nones: number; asking: number } {
    const { kept, nones, asking } = this.#vns.get(vn) ?? nothing();
    return { kept: kept.size, nones: nones.size, asking: asking.size };
  }

  kept(vn: VnId): Iterable<Mac> {
    return this.#vns.get(vn)?.kept.keys() ?? [];
  }

  /** Which kept MACs may have been out of use for long: say `used` of each. */
  *due(now: Instant): Generator<{ vn: VnId; mac: Mac }> {
    for (const [vn, { kept }] of this.#vns)
      for (const [mac, { due }] of kept) if (due <= now) yield { vn, mac };
  }

  step(event: PullEvent, now: Instant): readonly PullAction[] {
    switch (event.on) {
      case "enter":
        if (!this.#vns.has(event.vn)) this.#vns.set(event.vn, nothing());
        return [];
      case "leave":
        return this.#leave(event.vn);
      case "wanted":
        return this.#wanted(event, now);
      case "answer":
        return this.#answer(event, now);
      case "used":
        return this.#used(event, now);
    }
  }

  #leave(vn: VnId): readonly PullAction[] {
    for (const { port } of this.#vns.get(vn)?.asking.values() ?? []) this.#answered(port);
    this.#vns.delete(vn);
    return [];
  }

  #wanted(
    { vn, port, address }: PullEvent & { on: "wanted" },
    now: Instant,
  ): readonly PullAction[] {
    const state = this.#vns.get(vn);
    if (state === undefined) return []; // left meanwhile
    const key = keyOf(address);
    const why = this.#notAsked(state, key, port, address, now);
    if (why !== undefined) {
      this.counters[why] += 1;
      return [];
    }
    this.#serial += 1;
    const serial = this.#serial;
    state.nones.delete(key);
    state.asking.set(key, { serial, port });
    this.#atPort.set(port, (this.#atPort.get(port) ?? 0) + 1);
    this.counters.asked += 1;
    return [{ do: "ask", vn, address, serial }];
  }

  #notAsked(
    { kept, ips, nones, asking }: Vn,
    key: string,
    port: string,
    address: Wanted,
    now: Instant,
  ): PullCount | undefined {
    const { perVn, perPort, againMs, ...most } = this.#options;
    if ((nones.get(key) ?? now) > now) return "known-none";
    const mac = "mac" in address ? address.mac : ips.get(address.ip);
    const found = mac === undefined ? undefined : kept.get(mac);
    if (found !== undefined && now - found.asked < againMs) return "known";
    if (found !== undefined && "ip" in address) return "known"; // its MAC is told by the NVA
    if (asking.has(key)) return "asking";
    if (asking.size >= perVn || (this.#atPort.get(port) ?? 0) >= perPort) return "busy";
    return found === undefined && kept.size >= most.kept ? "full" : undefined;
  }

  #answer(event: PullEvent & { on: "answer" }, now: Instant): readonly PullAction[] {
    const { vn, address, serial } = event;
    const state = this.#vns.get(vn);
    const key = keyOf(address);
    const question = state?.asking.get(key);
    if (state === undefined || question?.serial !== serial) return []; // of before we left
    state.asking.delete(key);
    this.#answered(question.port);
    this.counters[event.is] += 1;
    if (event.is === "none") this.#remember(state, key, Instant(now + event.lifetimeMs));
    if (event.is !== "found") return [];
    const { mac } = event;
    const ips = state.kept.get(mac)?.ips ?? new Set();
    if (state.kept.size >= this.#options.kept && !state.kept.has(mac)) return [];
    state.kept.set(mac, { asked: now, due: Instant(now + this.#options.forgetMs), ips });
    if ("ip" in address && ips.size < IPS_PER_MAC) {
      state.kept.get(state.ips.get(address.ip) ?? mac)?.ips.delete(address.ip);
      ips.add(address.ip);
      state.ips.set(address.ip, mac);
    }
    state.nones.delete(mac);
    return [{ do: "keep", vn, mac }];
  }

  #used({ vn, mac, at }: PullEvent & { on: "used" }, now: Instant): readonly PullAction[] {
    const state = this.#vns.get(vn);
    const kept = state?.kept.get(mac);
    if (state === undefined || kept === undefined || kept.due > now) return [];
    const due = Instant((at ?? now - this.#options.forgetMs) + this.#options.forgetMs);
    if (due > now) {
      kept.due = due;
      return [];
    }
    for (const ip of kept.ips) state.ips.delete(ip);
    state.kept.delete(mac);
    return [{ do: "forget", vn, mac }];
  }

  /** The oldest answer makes room. */
  #remember({ nones }: Vn, key: string, until: Instant): void {
    nones.delete(key);
    const [oldest] = nones.keys();
    if (nones.size >= this.#options.nones && oldest !== undefined) nones.delete(oldest);
    nones.set(key, until);
  }

  #answered(port: string): void {
    const left = (this.#atPort.get(port) ?? 0) - 1;
    if (left > 0) this.#atPort.set(port, left);
    else this.#atPort.delete(port);
  }
}

const nothing = (): Vn => ({
  kept: new Map(),
  ips: new Map(),
  nones: new Map(),
  asking: new Map(),
});

const keyOf = (address: Wanted): string => ("mac" in address ? address.mac : address.ip);
