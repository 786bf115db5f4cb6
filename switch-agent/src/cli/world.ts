import type { Output } from "@nve/program/output";
import type {
  BindPortRequest,
  CaptureRequest,
  CaptureResponse,
  CountersResponse,
  DataplaneTable,
  FdbEntry,
  Peer,
  PortStatus,
  Refusal,
  StaticBinding,
  SwitchStatus,
  SwitchVn,
  SwitchVnic,
  TraceRequest,
  TraceResponse,
} from "@nve/protocol-spec/proto/agent";
import type { Command } from "commander";

/** `ended`: rejected with `Refused` where it was not us who ended it. */
export type Streaming = { end(): void; ended: Promise<void> };

/** The running agent, as the commands see it. Each call is refused with `Refused` and the reason. */
export interface AgentClient {
  status(): Promise<SwitchStatus>;
  ports(): Promise<readonly PortStatus[]>;
  vnics(): Promise<readonly SwitchVnic[]>;
  vns(): Promise<readonly SwitchVn[]>;
  /** @param vnId 0: of all VNs */
  fdb(vnId: number): Promise<readonly FdbEntry[]>;
  refusals(): Promise<readonly Refusal[]>;
  counters(): Promise<CountersResponse>;
  peers(): Promise<readonly Peer[]>;
  tables(): Promise<readonly DataplaneTable[]>;
  /** Hears answer after answer. @returns how it is ended */
  capture(request: CaptureRequest, hear: (answer: CaptureResponse) => void): Streaming;
  trace(request: TraceRequest): Promise<TraceResponse>;
  stop(remove: boolean): Promise<void>;
  bind(request: BindPortRequest): Promise<StaticBinding>;
  /** @param tag 0: of the untagged frames */
  unbind(port: string, tag: number): Promise<void>;
  bindings(): Promise<readonly StaticBinding[]>;
  close(): void;
}

/** What the commands talk to and where they print. */
export type World = {
  agent(socket: string): Promise<AgentClient>;
  print(line: string): void;
  run(config: string, link?: "packet" | "pcap"): Promise<void>;
  /** Takes away what an agent that does not run left. @returns what that was */
  cleanup(pins: string | undefined): Promise<readonly string[]>;
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
