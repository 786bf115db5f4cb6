import { tapOf, type Vm } from "./declared.ts";
import type { Moved } from "./move.ts";
import { countCarried } from "./network.ts";
import { startProbes, watchArrival } from "./probes.ts";
import {
  type Downtime,
  downtimeOf,
  lossOf,
  type Marks,
  type PingsLost,
  type StreamSeen,
} from "./timeline.ts";

/** What is seen of a migration from outside. */
export type Observed = {
  /** From now on the first ping that comes to the VM's tap on that server is noted. */
  watchArrival(server: string): Promise<void>;
  end(moved: Moved): Promise<Outcome>;
  /** Frames that an NVE has sent to another since the beginning; undefined where that is not counted. */
  carried(from: string, to: string): Promise<number | undefined>;
  /** Whatever happened: nothing of it runs on. */
  stop(): void;
};

type Outcome = {
  marks: Marks;
  /** Whether a ping was seen to arrive, so that `marks.arrivedMs` is that. */
  arrived: boolean;
  measured: { downtime: Downtime; pings?: PingsLost; stream?: StreamSeen };
};

/** @param from a node that pings the VM and holds a TCP connection to it. @throws Refused when it does not reach it */
export async function observe(lab: string, vm: Vm, from: string | undefined): Promise<Observed> {
  const address = vm.addresses[0]?.split("/")[0] ?? "";
  const counted = await countCarried(lab);
  const probes = from === undefined ? undefined : await startProbes(lab, from, address);
  let arrival: Awaited<ReturnType<typeof watchArrival>> | undefined;
  return {
    watchArrival: async (server) => {
      if (probes === undefined) return;
      arrival = await watchArrival(lab, server, tapOf(vm.name));
    },
    end: async ({ stoppedMs, resumedMs, activatedMs }) => {
      const seen = await probes?.end();
      const arrivedMs = await arrival?.firstMs();
      const marks = { stoppedMs, resumedMs, arrivedMs: arrivedMs ?? activatedMs };
      return {
        marks,
        arrived: arrivedMs !== undefined,
        measured: {
          downtime: downtimeOf(marks, seen?.pings),
          ...(seen && { pings: lossOf(marks, seen.pings), stream: seen.stream }),
        },
      };
    },
    carried: async (one, other) => (await counted())(one, other),
    stop: () => {
      probes?.stop();
      arrival?.stop();
    },
  };
}
