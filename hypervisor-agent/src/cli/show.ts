import { certificateText } from "@nve/program/certificate-text";
import {
  type Count,
  countColumns,
  countsOf,
  edgeColumns,
  neighborColumns,
} from "@nve/program/edge-tables";
import { type Column, show, showOne, toJson } from "@nve/program/output";
import type { Neighbor, PortStatus, SwitchStatus } from "@nve/protocol-spec/proto/agent";
import { Command } from "commander";
import { asking, type World } from "./world.ts";

export function statusCommand(world: World): Command {
  return new Command("status")
    .description("is it well: uplink, NVE, number of VNICs")
    .action((_: object, command: Command) =>
      asking(world, command, async (agent, out) => {
        const status = await agent.status();
        if (out.json) return out.print(toJson(status));
        const { version, id, startedUnixMs, uplinks, localNve } = status;
        const whole = {
          hypervisor: id,
          version,
          "started at": new Date(Number(startedUnixMs)).toISOString(),
        };
        if (localNve !== undefined) return showOne({ ...whole, ...ownNve(localNve) }, out);
        showOne(
          {
            ...whole,
            uplinks: uplinks.map(summary).join("; "),
            vnics: String(uplinks.reduce((n, { vnics }) => n + vnics, 0)),
            "tags lent": String(uplinks.reduce((n, { tagsLent }) => n + tagsLent, 0)),
          },
          out,
        );
      }),
    );
}

export function showCommand(world: World): Command {
  const command = new Command("show").description("uplinks, neighbors or counters in detail");
  command
    .command("uplinks")
    .description("link state and what was agreed with the NVE (EVB; exponents of 10 µs)")
    .action((_: object, command: Command) =>
      asking(world, command, async (agent, out) =>
        show((await agent.status()).uplinks, UPLINK, out, "no uplinks: the NVE is on this server"),
      ),
    );
  command
    .command("neighbors")
    .description("who is at the other end, from LLDP")
    .action((_: object, command: Command) =>
      asking(world, command, async (agent, out) => {
        const rows = (await agent.status()).uplinks.flatMap((uplink) =>
          uplink.neighbors.map((neighbor) => ({ uplink: uplink.interface, ...neighbor })),
        );
        show(rows, NEIGHBOR, out, "no neighbors: nothing heard in LLDP");
      }),
    );
  command
    .command("counters")
    .description("frames by protocol, VM interface and reason of drop, since the start")
    .action((_: object, command: Command) =>
      asking(world, command, async (agent, out) => {
        const { uplinks, interfaces, drops } = await agent.status();
        const rows: Count[] = [
          ...uplinks.flatMap((uplink) => countsOf(uplink.interface, uplink.counters)),
          ...interfaces.flatMap((one) => countsOf(one.interface, { in: one.in, out: one.out })),
          ...countsOf("virtual switch", drops, "dropped."),
        ];
        show(rows, countColumns, out);
      }),
    );
  return command;
}

/** Of a server that is its own NVE (A8). */
function ownNve(nve: SwitchStatus) {
  const { nvaState, nvaAddress, nvaReason } = nve;
  const why = nvaReason === "" ? "" : ` (${nvaReason})`;
  return {
    nve: `${nve.nveId}, on this server, VTEP ${nve.vtep}`,
    nva: `${nvaState}, ${nvaAddress}${why}`,
    certificate: certificateText(nve.certificateValidToUnixMs, nve.certificateFault),
    dataplane: `${nve.dataplane}, ${nve.dataplaneState}`,
    vnics: String(nve.vnics),
  };
}

function summary({ interface: name, state, evb, groupId }: PortStatus): string {
  const nve = evb ? (groupId ? "NVE there" : "peer without VN IDs (GroupID)") : "no NVE heard";
  return `${name} ${state}, ${nve}`;
}

const UPLINK: readonly Column<PortStatus>[] = [
  ...edgeColumns("UPLINK"),
  { head: "TAGS", of: ({ tagsLent }) => tagsLent },
  { head: "REASON", of: ({ reason }) => reason },
];

const NEIGHBOR: readonly Column<Neighbor & { uplink: string }>[] = [
  { head: "UPLINK", of: ({ uplink }) => uplink },
  ...neighborColumns,
];
