import type { AgentClient } from "./world.ts";

/** Longest wait for what the agent knows by itself. */
const QUICK_MS = 5000;
/** A De-Associate waits for the NVE's answer as long as VDP says (spec/vdp.md 4). */
const DETACH_MS = 60_000;
/** So that the agent's reason arrives before our own "no answer in time". */
const MARGIN_MS = 500;

/** The heavy part (gRPC) is loaded only when there is something to ask. */
export async function connectAgent(socket: string): Promise<AgentClient> {
  const [{ call, connect }, { HypervisorAgentClient }] = await Promise.all([
    import("@nve/program/rpc"),
    import("@nve/protocol-spec/proto/agent"),
  ]);
  const client = connect(HypervisorAgentClient, socket);
  return {
    attach: (request, timeoutMs) => call(client, client.attachVnic, request, timeoutMs + MARGIN_MS),
    change: (request, timeoutMs) => call(client, client.changeVnic, request, timeoutMs + MARGIN_MS),
    detach: async (vnic) => {
      await call(client, client.detachVnic, { vnic }, DETACH_MS);
    },
    vnics: async () => (await call(client, client.listVnics, {}, QUICK_MS)).vnics,
    status: () => call(client, client.status, {}, QUICK_MS),
    close: () => client.close(),
  };
}
