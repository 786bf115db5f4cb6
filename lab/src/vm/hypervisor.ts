import { Refused } from "@nve/program/errors";
import { call, connect } from "@nve/program/rpc";
import {
  HypervisorAgentClient,
  type VnAttachment,
  type Vnic,
} from "@nve/protocol-spec/proto/agent";
import { nodeState } from "../labs.ts";

/**
 * The agent of a server by its control API: the same calls as `hypervisor-agent vnic …`, without half a second for the
 * command to start, which would count as the network's.
 */
export type Hypervisor = {
  server: string;
  vnics(): Promise<readonly Vnic[]>;
  /** `hypervisor-agent vnic attach --prepare`: the VNIC as it is elsewhere, on a tap of this server. */
  prepare(vnic: Vnic, tap: string): Promise<Vnic>;
  /** `hypervisor-agent vnic activate` and `suspend`. */
  stage(vnic: Vnic, stage: "active" | "suspended"): Promise<Vnic>;
  detach(vnic: string): Promise<void>;
  close(): void;
};

const CALL_MS = 20_000;
const DETACH_MS = 60_000;

export function hypervisorOf(lab: string, server: string): Hypervisor {
  const { holder, cmd } = nodeState(lab, server);
  if (cmd?.[0] !== "hypervisor-agent")
    throw new Refused(`${server} is no server: it runs no hypervisor-agent`);
  const socket = `unix:/proc/${holder.pid}/root/run/split-nve/hypervisor-agent.sock`;
  const client = connect(HypervisorAgentClient, socket);
  return {
    server,
    vnics: async () => (await call(client, client.listVnics, {})).vnics,
    prepare: (vnic, tap) => {
      const request = { vnic: vnic.vnic, interface: tap, vmName: vnic.vmName, uplink: "" };
      const vns = vnsOf(vnic, "prepared");
      return call(client, client.attachVnic, { ...request, vns }, CALL_MS);
    },
    stage: (vnic, stage) => {
      const request = { vnic: vnic.vnic, add: vnsOf(vnic, stage), remove: [] };
      return call(client, client.changeVnic, request, CALL_MS);
    },
    detach: async (vnic) => {
      await call(client, client.detachVnic, { vnic }, DETACH_MS);
    },
    close: () => client.close(),
  };
}

const vnsOf = ({ vns }: Vnic, stage: string): VnAttachment[] =>
  vns.map(({ vnId, vnName, guestTag, macs }) => ({
    ...(vnId === 0 ? { vnId, vnName } : { vnId, vnName: "" }),
    ...{ guestTag, stage, macs },
  }));
