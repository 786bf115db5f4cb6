import type { AttachRequest } from "@nve/hypervisor-agent/agent";
import { LocalAgent } from "@nve/hypervisor-agent/local-nve/local-agent";
import { createLog } from "@nve/program/log";
import { HypervisorId, IpAddress, NveId, Uuid } from "@nve/protocol-spec";
import { Nve } from "@nve/switch-agent/local";
import { type FakeClock, fakeClock } from "../../support/fake-clock.ts";
import { MemoryDataplane } from "../switch-agent/memory-dataplane.ts";
import { ScriptedNva } from "../switch-agent/scripted-nva.ts";
import { MemoryInterfaces } from "../switch-agent/tor.ts";

export type LocalHost = {
  clock: FakeClock;
  nve: Nve;
  nva: ScriptedNva;
  dataplane: MemoryDataplane;
  agent: LocalAgent;
  watched: MemoryInterfaces;
  /** Octets, of every interface. */
  mtu: number;
};

/** A server that is its own NVE: all but the kernel and the NVA, which are in memory, on virtual time. */
export function localHost(): LocalHost {
  const clock = fakeClock();
  const log = createLog("hypervisor-agent", "silent");
  const dataplane = new MemoryDataplane();
  let nva: ScriptedNva | undefined;
  const nve = new Nve({
    self: { nve: NveId("server1"), vtep: IpAddress("192.0.2.21") },
    version: "0.0.0",
    driver: "ebpf",
    ports: [],
    clock,
    log,
    dataplane,
    openNva: (wiring) => {
      nva = new ScriptedNva(wiring);
      return nva;
    },
  });
  if (nva === undefined) throw new Error("no NVA was opened");
  const watched = new MemoryInterfaces();
  const self = { mtu: 1500 };
  const agent = new LocalAgent({
    hypervisor: HypervisorId("server1"),
    nve,
    checkIps: true,
    clock,
    log,
    interfaceExists: (name) => name.startsWith("tap"),
    notOfVm: (name) => (name === "tap-vtep" ? `${name} carries the VTEP` : undefined),
    mtuOf: () => self.mtu,
    watchInterface: watched.watch,
  });
  return Object.assign(self, { clock, nve, nva, dataplane, agent, watched });
}

export const uuid = (n: number): Uuid =>
  Uuid(`00000000-0000-4000-8000-00000000000${n.toString(16)}`);

export const on = (tap: string, tree: AttachRequest["tree"], n = 1): AttachRequest => ({
  vnic: uuid(n),
  interface: tap,
  tree,
});
