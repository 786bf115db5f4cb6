import { call, connect } from "@nve/program/rpc";
import { SwitchAgentClient } from "@nve/protocol-spec/proto/agent";
import { z } from "zod";
import { execIn, labState, nodeState } from "../labs.ts";
import type { Moment } from "./timeline.ts";

const spot = z.object({ nveId: z.string() });
const record = z.object({
  state: z.string(),
  source: spot,
  destination: spot,
  started: z.string(),
  ended: z.string(),
  departures: z.array(z.object({ nveId: z.string(), forwarding: z.boolean() })),
  steps: z.array(z.object({ at: z.string(), what: z.string() })),
});

/** A migration as the NVA has it (`nva migration show`). */
export type Record = z.infer<typeof record>;

/** The last one of a VNIC, if it has begun since; undefined: the NVA has no part in it, or there is no NVA in the lab. */
export async function recordOf(
  lab: string,
  vnic: string,
  sinceUnixMs: number,
): Promise<Record | undefined> {
  const nva = labState(lab).nodes.find(({ cmd }) => cmd?.[0] === "nva");
  if (nva === undefined) return undefined;
  const shown = await execIn(lab, nva.node, ["nva", "migration", "show", vnic, "--json"]);
  if (shown.code !== 0) return undefined;
  const found = record.safeParse(JSON.parse(shown.stdout));
  if (!found.success) return undefined;
  return Date.parse(found.data.started) >= Math.floor(sinceUnixMs) ? found.data : undefined;
}

/** Over, and nobody forwards any more what comes to the old place. */
export const isOver = ({ ended, departures }: Record): boolean =>
  ended !== "" && !departures.some(({ forwarding }) => forwarding);

export const momentsOf = ({ steps }: Record): readonly Moment[] =>
  steps.map(({ at, what }) => ({ unixMs: Date.parse(at), where: "nva", what }));

/** Frames that each switch of the lab has sent to each other since a moment before, by `<NVE>><NVE>`. */
export type Carried = (from: string, to: string) => number | undefined;

/** Begins to count. @returns how to end it */
export async function countCarried(lab: string): Promise<() => Promise<Carried>> {
  const before = await sentBy(lab);
  return async () => {
    const after = await sentBy(lab);
    return (from, to) => {
      const vtep = after.find(({ nveId }) => nveId === to)?.vtep;
      const sent = (all: readonly Switch[]) =>
        all.find(({ nveId }) => nveId === from)?.framesTo.get(vtep ?? "");
      const now = sent(after);
      return now === undefined ? undefined : Number(now - (sent(before) ?? 0n));
    };
  };
}

type Switch = { nveId: string; vtep: string; framesTo: ReadonlyMap<string, bigint> };

async function sentBy(lab: string): Promise<readonly Switch[]> {
  const switches = labState(lab).nodes.filter(({ cmd }) => cmd?.[0] === "switch-agent");
  return Promise.all(switches.map(({ node }) => readSwitch(lab, node)));
}

async function readSwitch(lab: string, node: string): Promise<Switch> {
  const { holder } = nodeState(lab, node);
  const socket = `unix:/proc/${holder.pid}/root/run/split-nve/switch-agent.sock`;
  const client = connect(SwitchAgentClient, socket);
  try {
    const { nveId, vtep } = await call(client, client.status, {});
    const { meters } = await call(client, client.counters, {});
    const peers = meters.filter((meter) => meter.vtep !== "");
    return { nveId, vtep, framesTo: new Map(peers.map((one) => [one.vtep, one.framesOut])) };
  } finally {
    client.close();
  }
}
