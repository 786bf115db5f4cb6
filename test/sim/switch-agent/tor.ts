import type { LinkState } from "@nve/linux";
import { parseConfig } from "@nve/program/config";
import { Refused } from "@nve/program/errors";
import { createLog } from "@nve/program/log";
import { SwitchAgent } from "@nve/switch-agent/agent";
import { type Config, configSchema } from "@nve/switch-agent/config";
import type { WatchInterface } from "@nve/switch-agent/local/interfaces";
import type { Intent } from "@nve/switch-agent/nve";
import type { Binding } from "@nve/switch-agent/static/binding";
import type { BindingStore } from "@nve/switch-agent/static/store";
import { type Cable, cable } from "../../support/cable.ts";
import { type FakeClock, fakeClock } from "../../support/fake-clock.ts";
import { MemoryDataplane } from "./memory-dataplane.ts";
import { ScriptedNva } from "./scripted-nva.ts";
import { Station } from "./station.ts";

export type Tor = {
  clock: FakeClock;
  cables: readonly [Cable, Cable];
  stations: readonly [Station, Station];
  agent: SwitchAgent;
  dataplane: MemoryDataplane;
  nva: ScriptedNva;
  /** Of the ports without protocol. */
  interfaces: MemoryInterfaces;
};

/** A switch agent with two access ports, a station on each, and all the rest in memory, on virtual time. */
export function tor(
  ports = "[{ name: swp1 }, { name: swp2 }]",
  state: "up" | "absent" = "up",
  bindings = new MemoryBindings(),
  inherited?: readonly Intent[],
): Tor {
  const clock = fakeClock();
  const cables = [cable(clock, { state }), cable(clock, { state })] as const;
  const dataplane = new MemoryDataplane(inherited);
  const interfaces = new MemoryInterfaces();
  let nva: ScriptedNva | undefined;
  const agent = new SwitchAgent({
    config: torConfig(ports),
    version: "0.0.0",
    clock,
    log: createLog("switch-agent", "silent"),
    dataplane,
    random: () => 0,
    openLink: (name) => (name === "swp1" ? cables[0].b : cables[1].b),
    watchInterface: interfaces.watch,
    bindings,
    openNva: (wiring) => {
      nva = new ScriptedNva(wiring);
      return nva;
    },
  });
  if (nva === undefined) throw new Error("no NVA was opened");
  const stations = [new Station(cables[0].a), new Station(cables[1].a)] as const;
  return { clock, cables, stations, agent, dataplane, nva, interfaces };
}

/** Of a switch with these ports, all else by default. */
export function torConfig(ports: string): Config {
  const text = `
nve: tor1
vtep: 192.0.2.1
nva: { addresses: ["nva:7470"], insecure: true }
ports: ${ports}`;
  return parseConfig(
    text,
    configSchema(() => []),
  );
}

/** Bindings that outlive an agent, in memory. */
export class MemoryBindings implements BindingStore {
  /** Why nothing can be kept. */
  fault: string | undefined;
  #kept: readonly Binding[] = [];

  load(): readonly Binding[] {
    return this.#kept;
  }

  save(bindings: readonly Binding[]): void {
    if (this.fault !== undefined) throw new Refused(this.fault);
    this.#kept = bindings;
  }
}

/** Interfaces that are there and up, until the test says otherwise. */
export class MemoryInterfaces {
  readonly #watchers = new Map<string, (state: LinkState) => void>();

  readonly watch: WatchInterface = (name, changed) => {
    this.#watchers.set(name, changed);
    changed("up");
    return () => this.#watchers.delete(name);
  };

  set(name: string, state: LinkState): void {
    this.#watchers.get(name)?.(state);
  }
}

/** Lets what is promised be done, without time going on. */
export const settle = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));

/** Time goes on in small steps, and between them what is promised is done. */
export async function pass(clock: FakeClock, ms: number, stepMs = 1): Promise<void> {
  await settle();
  for (let left = ms; left > 0; left -= stepMs) {
    clock.advance(Math.min(stepMs, left));
    await settle();
  }
}
