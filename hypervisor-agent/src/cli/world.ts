import type { Output } from "@nve/program/output";
import type {
  AttachVnicRequest,
  ChangeVnicRequest,
  HypervisorStatus,
  Vnic,
} from "@nve/protocol-spec/proto/agent";
import type { Command } from "commander";

/** The running agent, as the commands see it. Each call is refused with `Refused` and the agent's reason. */
export interface AgentClient {
  attach(request: AttachVnicRequest, timeoutMs: number): Promise<Vnic>;
  change(request: ChangeVnicRequest, timeoutMs: number): Promise<Vnic>;
  detach(vnic: string): Promise<void>;
  vnics(): Promise<readonly Vnic[]>;
  status(): Promise<HypervisorStatus>;
  close(): void;
}

/** What the commands talk to and where they print. */
export type World = {
  agent(socket: string): Promise<AgentClient>;
  print(line: string): void;
  run(config: string): Promise<void>;
};

/** One question to the agent, and the outcome printed as the options say. */
export async function asking(
  { agent, print }: World,
  command: Command,
  ask: (agent: AgentClient, out: Output) => Promise<void>,
): Promise<void> {
  const { json, socket } = command.optsWithGlobals<{ json: boolean; socket: string }>();
  const client = await agent(socket);
  try {
    await ask(client, { json, print });
  } finally {
    client.close();
  }
}
