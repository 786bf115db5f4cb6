import { type Count, countColumns, countsOf } from "@nve/program/edge-tables";
import { type Column, type Output, show, toJson } from "@nve/program/output";
import type {
  CountersResponse,
  Meter,
  PortStatus,
  VnCounters,
} from "@nve/protocol-spec/proto/agent";
import type { Command } from "commander";
import { type AgentClient, asking, type World } from "./world.ts";

type Which = { vnic?: string | true; port?: string | true; peer?: string | true };

export function countersCommand(world: World, parent: Command): void {
  parent
    .command("counters")
    .description("frames by VN, drops by reason, and what each port heard and sent")
    .option("--vnic [uuid]", "frames and octets of each VNIC, or of this one")
    .option("--port [name]", "of each access port, or of this one")
    .option("--peer [vtep]", "of each other NVE, or of this one")
    .action((which: Which, self: Command) =>
      asking(world, self, (agent, out) =>
        isAll(which) ? counters(agent, out) : metersOf(which, agent, out),
      ),
    );
}

const isAll = ({ vnic, port, peer }: Which): boolean => (vnic ?? port ?? peer) === undefined;

async function metersOf({ vnic, port, peer }: Which, agent: AgentClient, out: Output) {
  const { meters } = await agent.counters();
  const wants = (name: string, asked: string | true | undefined): boolean =>
    name !== "" && asked !== undefined && (asked === true || asked.toLowerCase() === name);
  const rows = meters.filter(
    (meter) => wants(meter.vnic, vnic) || wants(meter.port, port) || wants(meter.vtep, peer),
  );
  show(rows, METER, out, "nothing of the kind is counted");
}

async function counters(agent: AgentClient, out: Output): Promise<void> {
  const [frames, ports] = await Promise.all([agent.counters(), agent.ports()]);
  if (out.json) {
    const byPort = ports.map(({ interface: port, counters, stations }) => ({
      port,
      counters,
      ...(stations.length > 0 && {
        stations: stations.map(({ mac, counters }) => ({ mac, counters })),
      }),
    }));
    out.print(toJson({ ...frames, ports: byPort }));
    return;
  }
  show(frames.vns, FRAMES, out, "no VN has members here");
  out.print("");
  show(countRows(frames, ports), countColumns, out, "nothing was counted");
}

const countRows = ({ drops, nva }: CountersResponse, ports: readonly PortStatus[]): Count[] => [
  ...countsOf("dropped", drops),
  ...countsOf("nva", nva),
  ...ports.flatMap((port) => [
    ...countsOf(port.interface, port.counters),
    ...port.stations.flatMap(({ mac, counters }) => countsOf(`${port.interface} ${mac}`, counters)),
  ]),
];

const METER: readonly Column<Meter>[] = [
  { head: "OF", of: ({ vnic, port, vtep }) => vnic || port || vtep },
  { head: "VN", of: ({ vnId }) => (vnId === 0 ? "" : vnId) },
  { head: "IN", of: ({ framesIn }) => Number(framesIn) },
  { head: "OCTETS-IN", of: ({ octetsIn }) => Number(octetsIn) },
  { head: "OUT", of: ({ framesOut }) => Number(framesOut) },
  { head: "OCTETS-OUT", of: ({ octetsOut }) => Number(octetsOut) },
  { head: "ACL", of: ({ acl }) => Number(acl) },
  { head: "POLICED", of: ({ policed }) => Number(policed) },
  { head: "SPOOFED", of: ({ spoofed }) => Number(spoofed) },
  { head: "DROPPED", of: ({ dropped }) => Number(dropped) },
];

const FRAMES: readonly Column<VnCounters>[] = [
  { head: "VN", of: ({ vnId }) => (vnId === 0 ? "" : vnId) },
  { head: "VNI", of: ({ vni }) => vni },
  { head: "ACCESS-IN", of: ({ accessIn }) => Number(accessIn) },
  { head: "ACCESS-OUT", of: ({ accessOut }) => Number(accessOut) },
  { head: "OVERLAY-IN", of: ({ overlayIn }) => Number(overlayIn) },
  { head: "OVERLAY-OUT", of: ({ overlayOut }) => Number(overlayOut) },
  { head: "FLOODED", of: ({ flooded }) => Number(flooded) },
];
