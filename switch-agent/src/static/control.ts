import { InterfaceName } from "@nve/program/edge-config";
import { Refused } from "@nve/program/errors";
import { unary } from "@nve/program/rpc";
import { Vid } from "@nve/protocol-spec";
import type {
  BindPortRequest,
  StaticBinding,
  SwitchAgentServer,
} from "@nve/protocol-spec/proto/agent";
import type { PortTag } from "@nve/switch-agent/nve";
import type { Binding, BindingView } from "./binding.ts";
import { staticVnFrom } from "./config.ts";
import type { StaticPorts } from "./static-ports.ts";

type Statics = Pick<StaticPorts, "bind" | "unbind" | "list">;
type Methods = Pick<SwitchAgentServer, "bindPort" | "unbindPort" | "listBindings">;

/** BindPort, UnbindPort and ListBindings of agent.proto. @param statics undefined: an NVE that has no such ports */
export function bindingMethods(statics: () => Promise<Statics | undefined>): Methods {
  const some = async (): Promise<Statics> => {
    const found = await statics();
    if (found !== undefined) return found;
    throw new Refused("this NVE is on a server: its VNICs are bound with `hypervisor-agent vnic`");
  };
  return {
    bindPort: unary(async (request) => bindingTo(await (await some()).bind(bindingFrom(request)))),
    unbindPort: unary(async ({ port, tag }) => {
      (await some()).unbind({ port, tag: tagFrom(tag) });
      return {};
    }),
    listBindings: unary(async () => ({
      bindings: ((await statics())?.list() ?? []).map(bindingTo),
    })),
  };
}

/** @throws Refused, OutOfRange */
function bindingFrom({ port, tag, vnId, vnName, macs, strict }: BindPortRequest): Binding {
  const vn = vnId === 0 && vnName !== "" ? vnName : vnId;
  const one = staticVnFrom({ vn, ...(tag !== 0 && { vlan: tag }), macs, strict });
  return { port: InterfaceName(port), ...one };
}

const tagFrom = (tag: number): PortTag => (tag === 0 ? 0 : Vid(tag));

const bindingTo = ({ macs, vn: _, vnId, vnName, ...binding }: BindingView): StaticBinding => ({
  ...binding,
  vnId: vnId ?? 0,
  vnName: vnName ?? "",
  macs: macs.map(({ mac, ips }) => ({ mac, ips: [...ips] })),
});
