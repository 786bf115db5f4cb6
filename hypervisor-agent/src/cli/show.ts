import { type Column, show, showOne, toJson } from "@nve/program/output";
import type { Neighbor, PortStatus } from "@nve/protocol-spec/proto/agent";
import { Command } from "commander";
import { asking, type World } from "./world.ts";

export function statusCommand(world: World): Command {
  return new Command("status")
    .description("is it well: uplink, NVE, number of VNICs")
    .action((_: object, command: Command) =>
      asking(world, command, async (agent, out) => {
        const status = await agent.status();
        if (out.json) return out.print(toJson(status));
        const { version, id, startedUnixMs, uplinks } = status;
        showOne(
          {
            hypervisor: id,
            version,
            "started at": new Date(Number(startedUnixMs)).toISOString(),
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
        show((await agent.status()).uplinks, UPLINK, out),
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
          ...uplinks.flatMap((uplink) => counts(uplink.interface, uplink.counters)),
          ...interfaces.flatMap((one) => counts(one.interface, { in: one.in, out: one.out })),
          ...counts("virtual switch", drops, "dropped."),
        ];
        show(rows, COUNT, out);
      }),
    );
  return command;
}

function summary({ interface: name, state, evb, groupId }: PortStatus): string {
  const nve = evb ? (groupId ? "NVE there" : "peer without VN IDs (GroupID)") : "no NVE heard";
  return `${name} ${state}, ${nve}`;
}

const UPLINK: readonly Column<PortStatus>[] = [
  { head: "UPLINK", of: (uplink) => uplink.interface },
  { head: "STATE", of: ({ state }) => state },
  { head: "EVB", of: ({ evb }) => (evb ? "yes" : "no") },
  { head: "GROUP-ID", of: ({ groupId }) => (groupId ? "yes" : "no") },
  { head: "R", of: ({ r }) => r },
  { head: "RTE", of: ({ rte }) => rte },
  { head: "RWD", of: ({ rwd }) => rwd },
  { head: "RKA", of: ({ rka }) => rka },
  { head: "VNICS", of: ({ vnics }) => vnics },
  { head: "TAGS", of: ({ tagsLent }) => tagsLent },
];

const NEIGHBOR: readonly Column<Neighbor & { uplink: string }>[] = [
  { head: "UPLINK", of: ({ uplink }) => uplink },
  { head: "SYSTEM", of: ({ systemName }) => systemName },
  { head: "CHASSIS", of: ({ chassisId }) => chassisId },
  { head: "PORT", of: ({ portId }) => portId },
  { head: "MAC", of: ({ mac }) => mac },
  { head: "ADDRESS", of: ({ managementAddress }) => managementAddress },
  { head: "TTL", of: ({ ttl }) => ttl },
  { head: "DESCRIPTION", of: ({ systemDescription }) => systemDescription },
];

type Count = { where: string; counter: string; value: number };

const COUNT: readonly Column<Count>[] = [
  { head: "WHERE", of: ({ where }) => where },
  { head: "COUNTER", of: ({ counter }) => counter },
  { head: "VALUE", of: ({ value }) => value },
];

const counts = (where: string, of: Record<string, bigint>, prefix = ""): Count[] =>
  Object.entries(of).map(([name, value]) => ({
    where,
    counter: `${prefix}${name}`,
    value: Number(value),
  }));
