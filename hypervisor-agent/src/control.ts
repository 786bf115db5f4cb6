import type { handleUnaryCall, ServerUnaryCall } from "@grpc/grpc-js";
import { InterfaceName } from "@nve/program/edge-config";
import { NotFound, Refused } from "@nve/program/errors";
import { type Service, statusOf } from "@nve/program/rpc";
import { type Mac, OutOfRange, Uuid } from "@nve/protocol-spec";
import {
  type HypervisorAgentServer,
  HypervisorAgentService,
  type HypervisorStatus,
  type VnAttachment,
  type Vnic,
} from "@nve/protocol-spec/proto/agent";
import type { Agent, Limit, VnicView } from "./agent.ts";
import { pathFrom, treeFrom, VmName, vnicOf } from "./convert.ts";
import { type DrivenAgent, DriverName } from "./vms/driven.ts";

/** When the caller sets no deadline of its own. */
const DEFAULT_TIMEOUT_MS = 20_000;
/** The outcome must be back before the caller gives up. */
const MARGIN_MS = 250;
/** More than setTimeout can count; nobody waits a day for a VNIC. */
const MAX_TIMEOUT_MS = 24 * 3600 * 1000;

/**
 * The agent as a gRPC service (proto/agent.proto).
 * @param running rejects with Refused while there is none yet
 * @param macBehind of the other end of an interface, where that is to be seen
 */
export function controlService(
  running: () => Agent | DrivenAgent | Promise<Agent | DrivenAgent>,
  status: () => Promise<HypervisorStatus>,
  macBehind: (name: string) => Promise<Mac | undefined> = async () => undefined,
): Service {
  const implementation: HypervisorAgentServer = {
    attachVnic: limited(async ({ vnic, interface: of, vns, vmName, uplink, drivenBy }, limit) => {
      const name = vnic === "" ? {} : { vnic: Uuid(vnic) };
      const vm = vmName === "" ? {} : { vm: VmName(vmName) };
      const pinned = uplink === "" ? {} : { uplink: InterfaceName(uplink) };
      const by = drivenBy === undefined ? {} : { by: DriverName(drivenBy) };
      const request = {
        ...by,
        ...name,
        ...vm,
        ...pinned,
        interface: InterfaceName(of),
        tree: treeFrom(await withMacs(vns, of)),
      };
      const agent = await waitedFor(limit);
      return shown(agent, await agent.attach(request, limit));
    }),
    changeVnic: limited(async ({ vnic, add, remove }, limit) => {
      const agent = await waitedFor(limit);
      const change = { add: treeFrom(add), remove: remove.map(pathFrom) };
      return shown(agent, await agent.change({ vnic: nameOf(agent, vnic), ...change }, limit));
    }),
    detachVnic: limited(async ({ vnic }) => {
      const agent = await running();
      await agent.detach(nameOf(agent, vnic));
      return {};
    }),
    listVnics: limited(async () => {
      const agent = await running();
      return { vnics: agent.vnics().map((view) => shown(agent, view)) };
    }),
    status: limited(async () => status()),
  };

  /** @throws Refused when the caller has gone while the agent started */
  async function waitedFor({ cancelled }: Limit): Promise<Agent | DrivenAgent> {
    const agent = await running();
    if (cancelled?.aborted) throw new Refused("nobody waits for it any more");
    return agent;
  }

  /** With the MAC of the interface's other end where none is named: an appliance's own (H15). @throws Refused */
  async function withMacs(vns: readonly VnAttachment[], of: string): Promise<VnAttachment[]> {
    if (vns.every(({ macs }) => macs.every(({ mac }) => mac !== ""))) return [...vns];
    const seen = await macBehind(of);
    if (seen === undefined) {
      const why = `the other end of ${of} is not to be seen here (in the VM: \`ip -br link\`)`;
      throw new Refused(`--mac is missing: say the MAC address that the VM uses, ${why}`);
    }
    const filled = (mac: string): string => (mac === "" ? seen : mac);
    return vns.map((vn) => ({
      ...vn,
      macs: vn.macs.map((one) => ({ ...one, mac: filled(one.mac) })),
    }));
  }

  return { definition: HypervisorAgentService, implementation };
}

const shown = (agent: Agent | DrivenAgent, view: VnicView): Vnic =>
  vnicOf(view, "driverOf" in agent ? agent.driverOf(view.vnic) : undefined);

const UUID_LENGTH = 36;

/** A VNIC by its name, or by the interface that it is on. */
function nameOf(agent: Agent, text: string): Uuid {
  if (text.length === UUID_LENGTH) return Uuid(text); // no interface has so long a name: none has to be looked for
  const found = agent.vnics().find(({ vnic, interface: of }) => of === text || vnic === text);
  if (found !== undefined) return found.vnic;
  try {
    return Uuid(text);
  } catch (error) {
    if (!(error instanceof OutOfRange)) throw error;
    throw new NotFound(`no VNIC on an interface ${text}: \`vnic list\` shows them`);
  }
}

/** A unary handler that knows until when, and whether, the caller waits. */
function limited<Req, Res>(
  handler: (request: Req, limit: Limit) => Promise<Res>,
): handleUnaryCall<Req, Res> {
  return (call, done) => {
    const gone = new AbortController();
    call.on("cancelled", () => gone.abort());
    const limit: Limit = {
      get timeoutMs() {
        return timeoutOf(call); // of what is left when it begins
      },
      cancelled: gone.signal,
    };
    handler(call.request, limit).then(
      (response) => done(null, response),
      (error: unknown) => done(statusOf(error)),
    );
  };
}

function timeoutOf(call: ServerUnaryCall<unknown, unknown>): number {
  const deadline = Number(call.getDeadline());
  if (!Number.isFinite(deadline)) return DEFAULT_TIMEOUT_MS;
  return Math.min(Math.max(0, deadline - Date.now() - MARGIN_MS), MAX_TIMEOUT_MS);
}
