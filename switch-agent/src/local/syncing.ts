import type { Clock } from "@nve/linux";
import { Instant } from "@nve/protocol-spec";
import type { Granted, NveCore, Waiting } from "@nve/switch-agent/nve";
import type { Applier } from "../applier.ts";
import type { Nva } from "../nva-client/client.ts";

/** Of the NVE, what an answer waits for. */
type Surroundings = {
  readonly core: NveCore;
  readonly nva: Pick<Nva, "synced" | "arrived">;
  readonly applier: Pick<Applier, "settled">;
  /** How long whoever asks at a port waits, milliseconds. */
  resourceWaitMs(port: string): number;
};

/** How long an answer waits for the NVA to know the VNIC and for us to know its VN: then first frames arrive. */
const SYNC_MS = 250;
/** How long for the NVE that a VNIC has left to forward: that one may be busy, or hang. */
const ARRIVE_MS = 1000;

/** Nobody waits for the VNs of another port. */
export function byPort(core: NveCore, owners: readonly Waiting[]): Iterable<readonly Waiting[]> {
  const ports = new Map<string | undefined, Waiting[]>();
  for (const owner of owners) {
    const port = core.vsis.get(owner.vsi)?.ask.port;
    const others = ports.get(port);
    if (others === undefined) ports.set(port, [owner]);
    else others.push(owner);
  }
  return ports.values();
}

/**
 * The answer should find the others ready: the NVA has the claims, we have the VNs' addresses, and where a VNIC
 * was before, its frames are sent on (M5).
 */
export async function synced(
  around: Surroundings,
  vsis: readonly string[],
  clock: Clock,
): Promise<void> {
  const { core, nva, applier } = around;
  const all = vsis
    .flatMap((vsi) => core.vsis.get(vsi)?.granted ?? [])
    .filter((one) => one.ask.mode === "associate" && !isMoveHere(core, one));
  if (all.length === 0) return;
  const vns = new Set(all.flatMap(({ entries }) => entries.map(({ vn }) => vn)));
  const ports = new Set(all.map(({ ask }) => ask.port));
  const waits = [...ports].map((port) => around.resourceWaitMs(port) / 3);
  const told = nva.synced([...vns]).then(() => applier.settled());
  await within(Math.min(SYNC_MS, ...waits), told, clock);
  const arrived = nva.arrived?.(all.map(({ ask }) => ask.vnic));
  if (arrived !== undefined) await within(Math.min(ARRIVE_MS, ...waits), arrived, clock);
}

/** From one port of ours to another (H20): all others know already that it is here, unless the NVA has it elsewhere. */
const isMoveHere = (core: NveCore, { ask, entries, order }: Granted): boolean =>
  entries.every(({ vn, mac }) => {
    if (mac === undefined || core.fdb.remotes(vn).has(mac)) return false;
    return [...core.holders.of(vn, mac)].some((key) => {
      const other = key === ask.vsi ? undefined : core.vsis.get(key)?.granted;
      const isActive = other?.ask.mode === "associate" && other.ask.vnic === ask.vnic;
      return isActive && other.order < order;
    });
  });

function within(ms: number, done: Promise<void>, clock: Clock): Promise<void> {
  return new Promise((resolve) => {
    const callOff = clock.at(Instant(clock.now() + ms), resolve);
    void done.then(() => {
      callOff();
      resolve();
    });
  });
}
