import type { AttachOptions, BpfMap, BpfProgram } from "@nve/linux/bpf";
import type { Log } from "@nve/program";
import type { IpAddress } from "@nve/protocol-spec";
import type { KernelNextHop } from "./maps.ts";
import { NextHops } from "./next-hops.ts";
import { UnderlayPorts } from "./underlay-ports.ts";

/** Tunnels whose outer headers are built and taken off by our own programs. */
export type FastPath = {
  /** The number of the way to a VTEP in `nextHops`; 0: none. */
  numberOf(vtep: IpAddress): number;
  /** The first frame to a new VTEP goes by hand, too, if its neighbour is known. */
  settled(): Promise<void>;
  /** This interface has become an access port, or is none any more. */
  accessChanged(ifindex: number): void;
  /** Tunnels are taken off at this interface. */
  isAt(ifindex: number): boolean;
  /** Lets go: what is pinned goes on with the ways that are known now. */
  release(): void;
  close(): void;
};

type FastPathOptions = {
  /** Takes tunnels at the interfaces of the underlay. */
  program: BpfProgram;
  how: AttachOptions;
  table: BpfMap<number, KernelNextHop>;
  vtep: IpAddress;
  isAccess(ifindex: number): boolean;
  log: Log;
};

/** @throws SystemError, Unavailable */
export async function openFastPath(options: FastPathOptions): Promise<FastPath> {
  const ports = new UnderlayPorts(options);
  const hops = new NextHops({ ...options, underlay: (links) => ports.attach(links) });
  try {
    await hops.begin();
  } catch (error) {
    hops.close();
    ports.close();
    throw error;
  }
  return {
    numberOf: (vtep) => hops.numberOf(vtep),
    settled: () => hops.settled(),
    accessChanged: (ifindex) => ports.accessChanged(ifindex),
    isAt: (ifindex) => ports.isAt(ifindex),
    release: () => {
      hops.close();
      ports.release();
    },
    close: () => {
      hops.close();
      ports.close();
    },
  };
}
