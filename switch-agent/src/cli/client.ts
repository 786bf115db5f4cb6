import type { ServiceError } from "@grpc/grpc-js";
import type { AgentClient } from "./world.ts";

const TIMEOUT_MS = 5000;

/** The heavy part (gRPC) is loaded only when there is something to ask. */
export async function connectAgent(socket: string): Promise<AgentClient> {
  const [{ call, connect, refusal }, { SwitchAgentClient }] = await Promise.all([
    import("@nve/program/rpc"),
    import("@nve/protocol-spec/proto/agent"),
  ]);
  const client = connect(SwitchAgentClient, socket);
  return {
    status: () => call(client, client.status, {}, TIMEOUT_MS),
    ports: async () => (await call(client, client.listPorts, {}, TIMEOUT_MS)).ports,
    vnics: async () => (await call(client, client.listVnics, {}, TIMEOUT_MS)).vnics,
    vns: async () => (await call(client, client.listVns, {}, TIMEOUT_MS)).vns,
    fdb: async (vnId) => (await call(client, client.listFdb, { vnId }, TIMEOUT_MS)).entries,
    refusals: async () => (await call(client, client.listRefusals, {}, TIMEOUT_MS)).refusals,
    counters: () => call(client, client.counters, {}, TIMEOUT_MS),
    peers: async () => (await call(client, client.listPeers, {}, TIMEOUT_MS)).peers,
    tables: async () => (await call(client, client.listTables, {}, TIMEOUT_MS)).tables,
    capture: (request, hear) => {
      const stream = client.capture(request);
      let byUs = false;
      const ended = new Promise<void>((resolve, reject) => {
        stream.on("data", hear);
        stream.on("end", resolve);
        stream.on("error", (error: ServiceError) => {
          if (byUs) resolve();
          else reject(refusal(error, client.getChannel().getTarget()));
        });
      });
      const end = (): void => {
        byUs = true;
        stream.cancel();
      };
      return { end, ended };
    },
    trace: (request) => call(client, client.trace, request, TIMEOUT_MS),
    stop: async (remove) => {
      await call(client, client.stop, { remove }, TIMEOUT_MS);
    },
    bind: (request) => call(client, client.bindPort, request, TIMEOUT_MS),
    unbind: async (port, tag) => {
      await call(client, client.unbindPort, { port, tag }, TIMEOUT_MS);
    },
    bindings: async () => (await call(client, client.listBindings, {}, TIMEOUT_MS)).bindings,
    close: () => client.close(),
  };
}
