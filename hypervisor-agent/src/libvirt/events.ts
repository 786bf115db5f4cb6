import { type ChildProcess, spawn } from "node:child_process";
import type { Clock } from "@nve/linux";
import { LineCutter } from "@nve/linux/qmp/lines";
import type { Log } from "@nve/program/log";
import { Instant } from "@nve/protocol-spec";
import type { LibvirtConfig } from "./config.ts";
import { type Lifecycle, readLifecycle } from "./lifecycle.ts";

export type LibvirtEventsOptions = Pick<LibvirtConfig, "uri" | "virsh"> & {
  clock: Clock;
  log: Log;
  /** It listens now, or does in a moment. */
  begun(): void;
  hear(event: Lifecycle): void;
};

/** Until virsh is started again, doubled each time. */
const AGAIN_MS = { first: 1000, max: 30_000 };
/** A run of that length was well. */
const WELL_MS = 60_000;
const MAX_LINE = 4096;

/**
 * libvirt's lifecycle events, as virsh tells them: for as long as libvirtd is there, and again when it is back. virsh only
 * reads (-r): it may run where this agent may not drive libvirt.
 */
export class LibvirtEvents {
  readonly #options: LibvirtEventsOptions;
  #child: ChildProcess | undefined;
  #failures = 0;
  #closed = false;
  #callOff: () => void = () => {};
  #said = "";

  constructor(options: LibvirtEventsOptions) {
    this.#options = options;
    this.#start();
  }

  close(): void {
    this.#closed = true;
    this.#callOff();
    this.#child?.kill("SIGTERM");
  }

  #start(): void {
    const { virsh, uri, log, clock, hear } = this.#options;
    const words = ["-r", "-c", uri, "event", "--loop", "--event", "lifecycle"];
    const env = { ...process.env, LC_ALL: "C" }; // its words, not a translation of them
    const child = spawn(virsh, words, { env, stdio: ["ignore", "pipe", "pipe"] });
    this.#child = child;
    child.on("spawn", () => this.#options.begun());
    const since = clock.now();
    const lines = new LineCutter(MAX_LINE);
    let why = "";
    child.stdout.on("data", (piece: Buffer) => {
      const cut = lines.cut(piece);
      if (cut === undefined) child.kill("SIGKILL");
      for (const line of cut ?? []) {
        const event = readLifecycle(line);
        log.debug({ line }, "libvirt");
        if (event !== undefined && !this.#closed) hear(event);
      }
    });
    child.stderr.on("data", (piece: Buffer) => {
      why = `${why}${piece}`.slice(-500);
    });
    child.on("error", (error) => {
      why = error.message;
    });
    child.on("close", () => {
      if (clock.now() - since > WELL_MS) this.#failures = 0;
      this.#ended(why.trim());
    });
  }

  #ended(why: string): void {
    if (this.#closed) return;
    const { clock, log, uri } = this.#options;
    if (why !== this.#said) log.warn({ uri, reason: why }, "libvirt's events are not heard");
    this.#said = why;
    const ms = Math.min(AGAIN_MS.first * 2 ** this.#failures, AGAIN_MS.max);
    this.#failures += 1;
    this.#callOff = clock.at(Instant(clock.now() + ms), () => this.#start());
  }
}
