import { spawnSync } from "node:child_process";
import { existsSync, readdirSync, statSync } from "node:fs";
import { createRequire } from "node:module";
import { constants } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import type { Intake } from "./control-frames.ts";
import { SystemError, Unavailable } from "./errors.ts";

/**
 * A datagram socket of the kernel's: frames, rtnetlink or a unix socket. What came in is handed over in batches,
 * at most 256 messages per turn of the event loop, 64 where there is an intake limit.
 */
export class NativeSocket {
  readonly #addon: Addon;
  readonly #handle: unknown;

  /** @throws SystemError when the kernel refuses; Unavailable when the addon is missing and cannot be built */
  constructor(options: SocketOptions, receive?: Receive) {
    const { domain, type, protocol, slotOctets, settings, filter, address, intake } = options;
    this.#addon = addon();
    try {
      this.#handle = this.#addon.open(
        domain,
        type,
        protocol,
        slotOctets,
        settings,
        filter,
        address,
        receive &&
          ((errno, messages) => receive(messages, errno === 0 ? undefined : errorName(errno))),
        intake && [
          intake.frames.burst,
          intake.frames.perSecond,
          intake.octets.burst,
          intake.octets.perSecond,
        ],
      );
    } catch (error) {
      throw fromAddon(error);
    }
  }

  /** @returns the name of the error ("ENETDOWN"), or `undefined` when the kernel took the message */
  send(octets: Uint8Array, address?: Uint8Array): string | undefined {
    const errno = this.#addon.send(this.#handle, octets, address);
    return errno === 0 ? undefined : errorName(errno);
  }

  /**
   * Since the last call: frames that passed the filter (of packet sockets alone), and messages that were lost: the
   * socket's buffer was full, or one was longer than a slot.
   */
  statistics(): { passed: number; lost: number } {
    const [passed = 0, lost = 0] = this.#addon.statistics(this.#handle);
    return { passed, lost };
  }

  /** Whether the open socket keeps the process running; at first it does. */
  keepAlive(on: boolean): void {
    this.#addon.ref(this.#handle, on);
  }

  /** At once; closing again does nothing, sending afterwards gives EBADF. */
  close(): void {
    this.#addon.close(this.#handle);
  }
}

export type SocketOptions = {
  domain: number;
  type: number;
  protocol: number;
  /** The longest message, 1 … 2^20 octets; a longer one is counted as lost. */
  slotOctets: number;
  settings: readonly Setting[];
  /** `struct sock_filter[]` */
  filter?: Uint8Array;
  /** The `sockaddr` to bind to. */
  address?: Uint8Array;
  /** What is handed over at the most; what is beyond it waits in the socket's buffer. */
  intake?: Intake;
};

/** Arguments of setsockopt: level, name, value. */
export type Setting = readonly [level: number, name: number, value: Uint8Array];

/** Messages, the kernel's error, or both: then something was lost among the messages. */
type Receive = (messages: readonly Uint8Array[], error: string | undefined) => void;

/** "ENODEV" for 19. */
export function errorName(errno: number): string {
  const known = Object.entries(constants.errno).find(([, number]) => number === errno);
  return known?.[0] ?? `errno ${errno}`;
}

/** The addon's file, built or not. */
const addonPath = fileURLToPath(new URL("../build/socket.node", import.meta.url));

type Addon = {
  open(
    domain: number,
    type: number,
    protocol: number,
    slotOctets: number,
    settings: readonly Setting[],
    filter: Uint8Array | undefined,
    address: Uint8Array | undefined,
    receive: ((errno: number, messages: Uint8Array[]) => void) | undefined,
    intake: readonly number[] | undefined,
  ): unknown;
  send(handle: unknown, octets: Uint8Array, address: Uint8Array | undefined): number;
  statistics(handle: unknown): readonly number[];
  ref(handle: unknown, on: boolean): void;
  close(handle: unknown): void;
};

let loaded: Addon | undefined;

function addon(): Addon {
  loaded ??= load();
  return loaded;
}

function load(): Addon {
  if (!isNativeBuilt()) build();
  try {
    return createRequire(import.meta.url)(addonPath) as Addon;
  } catch (cause) {
    throw new Unavailable(`${addonPath} does not load: remove it and run node scripts/native.mjs`, {
      cause,
    });
  }
}

/** Built, and not older than its sources; where only the built file is shipped there are none to be older than. */
export function isNativeBuilt(): boolean {
  if (!existsSync(addonPath)) return false;
  const folder = fileURLToPath(new URL("../native", import.meta.url));
  const sources = existsSync(folder) ? readdirSync(folder) : [];
  const built = statSync(addonPath).mtimeMs;
  return sources.every((name) => statSync(join(folder, name)).mtimeMs <= built);
}

function build(): void {
  const script = fileURLToPath(new URL("../../scripts/native.mjs", import.meta.url));
  const { status, stderr } = spawnSync(process.execPath, [script], { encoding: "utf8" });
  if (status !== 0) throw new Unavailable(stderr.trim().replace(/^error: /, ""));
}

function fromAddon(error: unknown): unknown {
  if (!(error instanceof Error) || !("code" in error)) return error;
  return new SystemError(errorName(Number(error.code)), error.message);
}
