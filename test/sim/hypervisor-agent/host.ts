import { type Agent, startAgent } from "@nve/hypervisor-agent/agent";
import type { Tree } from "@nve/hypervisor-agent/stations/tree";
import { openUplink, type Uplink } from "@nve/hypervisor-agent/uplink";
import type { Binding } from "@nve/hypervisor-agent/vm-port/vm-port";
import { type Link, openEdgePort } from "@nve/linux";
import { createLog } from "@nve/program/log";
import {
  defaultEvbPolicy,
  type EvbPolicy,
  HypervisorId,
  IpAddress,
  Mac,
  VnId,
} from "@nve/protocol-spec";
import type { FakeClock } from "../../support/fake-clock.ts";

export type Host = {
  agent: Agent;
  /** The first, where there are several. */
  uplink: Uplink;
  uplinks: readonly Uplink[];
  /** What the virtual switch has: `<interface> <mac> <vid>`, `as <guest tag>` if any, the uplink where there are several. */
  bound(): string[];
  /** Makes the next `bind` calls fail, until `undefined`. */
  refuseBind(why: string | undefined): void;
  interfaces: Set<string>;
  /** MTU of all interfaces; at first 1500. */
  mtu: number;
};

type HostOptions = { firstSequence?: number; policy?: EvbPolicy; failbackMs?: number };

/**
 * The hypervisor-agent with its real uplink wiring on links in memory, and a virtual switch that takes notes.
 * @param links one, or several by the names of their interfaces
 */
export function host(
  links: Link | Readonly<Record<string, Link>>,
  clock: FakeClock,
  { firstSequence = 0, policy = defaultEvbPolicy, failbackMs = 30_000 }: HostOptions = {},
): Host {
  let bindings: readonly Binding[] = [];
  let why: string | undefined;
  const log = createLog("hypervisor-agent", "silent");
  const interfaces = new Set(["tap0", "tap1", "tap2", "tap3", "tap4", "tap5"]);
  const self = { mtu: 1500 };
  const byName = isLink(links) ? { [links.name]: links } : links;
  const names = Object.keys(byName);
  const linkOf = (name: string): Link => {
    const link = byName[name];
    if (link === undefined) throw new Error(`no link ${name}`);
    return named(name, link);
  };
  const { agent, uplinks } = startAgent({
    clock,
    log,
    virtualSwitch: {
      bind: async (wanted) => {
        if (why !== undefined) throw new Error(why);
        bindings = wanted;
      },
    },
    mtuOf: () => self.mtu,
    interfaceExists: (name) => interfaces.has(name),
    uplinks: names,
    failbackMs,
    openUplink: (name, perform) =>
      openUplink({
        hypervisor: HypervisorId("server1"),
        version: "0.0.0",
        link: linkOf(name),
        clock,
        policy,
        settings: {
          vdp: { manager: new Uint8Array(16), typeId: 0, typeVersion: 1 },
          retryMs: { first: 500, max: 10_000, refused: 30_000 },
        },
        firstSequence,
        openEdgePort,
        perform,
        log,
      }),
  });
  const [uplink] = uplinks;
  if (uplink === undefined) throw new Error("no uplink");
  const where = (name: string): string => (names.length === 1 ? "" : ` ${name}`);
  return Object.assign(self, {
    agent,
    uplink,
    uplinks,
    interfaces,
    bound: () =>
      bindings
        .map(({ interface: of, guestTag, mac, vid, uplink }) => {
          const guests = guestTag === 0 ? "" : ` as ${guestTag}`;
          return `${of} ${mac} ${vid}${guests}${where(uplink)}`;
        })
        .sort(),
    refuseBind: (reason: string | undefined) => {
      why = reason;
    },
  });
}

const isLink = (links: Link | Readonly<Record<string, Link>>): links is Link =>
  "onFrame" in links && typeof links.onFrame === "function";

/** The same link by another name: all ends of cables in memory have the same one. */
const named = (name: string, link: Link): Link =>
  Object.create(link, { name: { value: name } }) as Link;

export const treeOf = (vn: number, mac: string, ...ips: string[]): Tree => [
  { vn: VnId(vn), macs: [{ mac: Mac(mac), ips: ips.map(IpAddress) }] },
];

/** Lets what is promised be done, without time going on. */
export const settle = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));

/** Time goes on in small steps, and between them what is promised is done. */
export async function run(clock: FakeClock, ms: number, stepMs = 1): Promise<void> {
  await settle();
  for (let left = ms; left > 0; left -= stepMs) {
    clock.advance(Math.min(stepMs, left));
    await settle();
  }
}

/** Time goes on until the promise is settled, `limitMs` at most. */
export async function within<T>(
  clock: FakeClock,
  limitMs: number,
  promise: Promise<T>,
  stepMs = 1,
): Promise<T> {
  let over = false;
  promise.then(
    () => {
      over = true;
    },
    () => {
      over = true;
    },
  );
  await settle();
  for (let left = limitMs; left > 0 && !over; left -= stepMs) await run(clock, stepMs, stepMs);
  if (!over) throw new Error(`not settled within ${limitMs} ms`);
  return promise;
}
