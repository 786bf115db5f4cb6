import { nodeState } from "@nve/lab/labs";
import { migrationRecord } from "@nve/nva/cli/migration";
import { claimRecord, mappingRecord } from "@nve/nva/cli/records";
import { call, connect } from "@nve/program";
import { Uuid, uuidOctets } from "@nve/protocol-spec";
import { NorthboundClient } from "@nve/protocol-spec/proto/northbound";
import { connectAgent } from "@nve/switch-agent/cli/client";
import type { AgentClient } from "@nve/switch-agent/cli/world";

const TIMEOUT_MS = 10_000;

/** What the agents and NVAs of a lab hold, read at their control sockets: no process is begun for it. */
export function labReaders(lab: string) {
  const socketOf = (node: string, name: string): string =>
    `unix:/proc/${nodeState(lab, node).holder.pid}/root/run/split-nve/${name}.sock`;

  async function agent<T>(tor: string, ask: (agent: AgentClient) => Promise<T>): Promise<T> {
    const client = await connectAgent(socketOf(tor, "switch-agent"));
    try {
      return await ask(client);
    } finally {
      client.close();
    }
  }
  async function nva<T>(node: string, ask: (client: NorthboundClient) => Promise<T>): Promise<T> {
    const client = connect(NorthboundClient, socketOf(node, "nva"));
    try {
      return await ask(client);
    } finally {
      client.close();
    }
  }
  const page = { vn: undefined, pageSize: 1_000, pageToken: "" };

  return {
    fdb: (tor: string) => agent(tor, (one) => one.fdb(0)),
    vns: (tor: string) => agent(tor, (one) => one.vns()),
    mappings: (node: string) =>
      nva(node, async (client) => {
        const { mappings } = await call(client, client.listMappings, page, TIMEOUT_MS);
        return mappings.map(mappingRecord);
      }),
    claims: (node: string) =>
      nva(node, async (client) => {
        const { claims } = await call(client, client.listClaims, page, TIMEOUT_MS);
        return claims.flatMap((one) => claimRecord(one) ?? []);
      }),
    /** undefined: it has not moved. */
    migration: (node: string, vnic: string) =>
      nva(node, async (client) => {
        const of = { ...page, vnic: Buffer.from(uuidOctets(Uuid(vnic))), running: false };
        const { migrations } = await call(client, client.listMigrations, of, TIMEOUT_MS);
        return migrations.map(migrationRecord)[0];
      }),
  };
}
