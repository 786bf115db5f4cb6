import type { Bridging } from "@nve/linux";
import type { Log } from "@nve/program";
import { type IpAddress, isIpv6 } from "@nve/protocol-spec";
import { type Intent, intentKey, type Place } from "../../nve/intents.ts";
import type { Dataplane, DataplaneCounters } from "../dataplane.ts";
import { DataplaneError, type Failed } from "../error.ts";
import { Book, reasonOf } from "./book.ts";
import { countersOf } from "./counters.ts";
import { openBridge } from "./kernel.ts";
import { Port } from "./port.ts";
import { readBack } from "./read-back.ts";
import { type UnderlayMtu, watchUnderlay } from "./underlay.ts";
import { sayRefused, unsupported } from "./unsupported.ts";

type BridgeDataplaneOptions = {
  /** This NVE's address in the underlay; all remote VTEPs are of its family. */
  vtep: IpAddress;
  /** UDP port of the underlay; default 4789 (RFC 7348 §5). */
  port?: number;
  log: Log;
};

/**
 * The dataplane as a VLAN-aware Linux bridge: each VN is a VLAN of it and a VXLAN device, each tag of a port an
 * interface. What it does not do, it refuses or warns of (unsupported.ts, docs/dataplane.md).
 *
 * @throws Refused when it is not permitted, or this kernel lacks a part
 */
export async function openBridgeDataplane(options: BridgeDataplaneOptions): Promise<Dataplane> {
  const { vtep, port = 4789, log } = options;
  const { kernel, bridge } = await openBridge();
  const book = new Book({ kernel, bridge, vtep, port });
  const dataplane = new BridgeDataplane({ kernel, bridge, book, vtep, log });
  try {
    await dataplane.begin();
  } catch (error) {
    await dataplane.close();
    throw error;
  }
  log.info({ vtep, port, bridge }, "dataplane is open: a Linux bridge");
  return dataplane;
}

type Parts = { kernel: Bridging; bridge: number; book: Book; vtep: IpAddress; log: Log };

const kinds = ["vn", "access", "mac"] as const;
const ofKind = (intents: readonly Intent[], is: Intent["is"]): Intent[] =>
  intents.filter((intent) => intent.is === is);

class BridgeDataplane implements Dataplane {
  readonly #parts: Parts;
  readonly #warned = new Set<string>();
  #underlay: UnderlayMtu | undefined;
  /** What is done is done whole, one after another. */
  #turn: Promise<unknown> = Promise.resolve();
  #closed = false;

  constructor(parts: Parts) {
    this.#parts = parts;
  }

  async begin(): Promise<void> {
    const { vtep, log } = this.#parts;
    this.#underlay = await watchUnderlay(vtep, log, () => this.#resize());
    this.#resize();
    await this.#turn;
  }

  get mtu(): number | undefined {
    return this.#underlay?.mtu;
  }

  ensure(intents: readonly Intent[]): Promise<void> {
    return this.#inTurn(async ({ book }) => {
      const failed: Failed[] = [];
      const good = intents.filter((intent) => {
        const reason = this.#unreachable(intent) ?? this.#refused(intent);
        if (reason !== undefined) failed.push({ intent, reason });
        return reason === undefined;
      });
      const attempt = async (intent: Intent): Promise<void> => {
        try {
          await book.put(intent);
        } catch (error) {
          failed.push({ intent, ...reasonOf(error) });
        }
      };
      for (const intent of [...ofKind(good, "vn"), ...ofKind(good, "access")])
        await attempt(intent);
      await Promise.all(ofKind(good, "mac").map(attempt));
      if (failed.length > 0) throw new DataplaneError(failed);
    });
  }

  remove(intents: readonly Intent[]): Promise<void> {
    return this.#inTurn(({ book }) => take(book, intents));
  }

  prune(wanted: readonly Intent[]): Promise<void> {
    return this.#inTurn(({ book }) => {
      const keep = new Set(wanted.map(intentKey));
      return take(
        book,
        [...book.intents()].filter((intent) => !keep.has(intentKey(intent))),
      );
    });
  }

  portUp(name: string): Promise<void> {
    return this.#inTurn(async ({ kernel, bridge, book, log }) => {
      const link = (await kernel.links()).find((each) => each.name === name);
      if (link !== undefined && link.index === book.ports.get(name)?.index) return;
      await book.portDown(name);
      if (link === undefined) return;
      await book.portUp(await Port.open(kernel, bridge, link));
      log.info({ port: name, ifindex: link.index }, "port attached");
    });
  }

  portDown(name: string): Promise<void> {
    return this.#inTurn(({ book }) => book.portDown(name));
  }

  /** Nothing is seen of frames. */
  onSamples(): void {}
  onWanted(): void {}
  unusedMs(): undefined {}
  silentMs(): undefined {}

  counters(): Promise<DataplaneCounters> {
    return this.#inTurn(({ kernel, book }) => countersOf(kernel, book));
  }

  applied(): Promise<readonly Intent[]> {
    return this.#inTurn(({ kernel, bridge, book }) => readBack(kernel, bridge, book));
  }

  async close(): Promise<void> {
    if (this.#closed) return;
    this.#closed = true;
    await this.#turn;
    this.#underlay?.close();
    try {
      await this.#parts.book.close();
    } finally {
      this.#parts.kernel.close();
    }
  }

  #resize(): void {
    const mtu = this.#underlay?.mtu;
    if (mtu === undefined || this.#closed) return;
    this.#inTurn(({ book }) => book.resize(mtu)).catch((error: unknown) => {
      this.#parts.log.warn({ err: error }, "MTU of the underlay not followed");
    });
  }

  #unreachable(intent: Intent): string | undefined {
    const { vtep: own } = this.#parts;
    const remote = placesOf(intent).flatMap((place) => (place.is === "remote" ? [place.vtep] : []));
    if (remote.includes(own)) return `VTEP ${own} is this NVE itself`;
    const other = remote.find((vtep) => isIpv6(vtep) !== isIpv6(own));
    return other && `VTEP ${other} and this NVE's, ${own}, are not of one address family`;
  }

  #refused(intent: Intent): string | undefined {
    const { refused, ignored } = unsupported(intent);
    for (const what of ignored) {
      const key = `${intent.is} ${what}`;
      if (this.#warned.has(key)) continue;
      this.#warned.add(key);
      this.#parts.log.warn(
        { intent: intentKey(intent) },
        `driver bridge does not do ${what}: it goes without`,
      );
    }
    return refused.length > 0 ? sayRefused(intent, refused) : undefined;
  }

  #inTurn<T>(act: (parts: Parts) => Promise<T>): Promise<T> {
    if (this.#closed) return Promise.reject(new Error("the dataplane is closed"));
    const done = this.#turn.then(() => act(this.#parts));
    this.#turn = done.catch(() => {});
    return done;
  }
}

/** MACs first, VNs last: what is in a VN goes before it. */
async function take(book: Book, intents: readonly Intent[]): Promise<void> {
  for (const is of kinds.toReversed()) {
    for (const intent of ofKind(intents, is)) await book.take(intent);
  }
}

function placesOf(intent: Intent): readonly Place[] {
  if (intent.is === "vn") return intent.flood;
  return intent.is === "mac" ? [intent.at] : [];
}
