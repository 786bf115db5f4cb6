import { edgeColumns, neighborColumns } from "@nve/program/edge-tables";
import { type Column, few, type Output, show } from "@nve/program/output";
import { argument } from "@nve/program/program";
import { VnId } from "@nve/protocol-spec/ids";
import type {
  DataplaneTable,
  FdbEntry,
  Neighbor,
  Peer,
  PortStatus,
  Refusal,
  SwitchVn,
  SwitchVnic,
  SwitchVnProfile,
} from "@nve/protocol-spec/proto/agent";
import { Command } from "commander";
import { showBindings } from "./bind.ts";
import { countersCommand } from "./show-counters.ts";
import { type AgentClient, asking, type World } from "./world.ts";

/** `show <what>`: a table, or JSON of what the control API says. */
export function showCommand(world: World): Command {
  const command = new Command("show").description("what the agent has, in detail");
  const table = (
    name: string,
    description: string,
    print: (agent: AgentClient, out: Output) => Promise<void>,
  ): void => {
    command
      .command(name)
      .description(description)
      .action((_: object, self: Command) => asking(world, self, print));
  };
  table(
    "ports",
    "link, EVB as agreed with the server (exponents of 10 µs), tags",
    async (agent, out) => {
      const ports = await agent.ports();
      if (out.json) show(ports.map(withAgreed), [], out);
      else show(ports.flatMap(portRows), PORT, out);
    },
  );
  table("vnics", "VNICs with their VNs, tags and addresses", async (agent, out) => {
    const vnics = await agent.vnics();
    if (out.json) show(vnics, [], out);
    else show(vnics.flatMap(vnicRows), VNIC, out, "no VNIC is attached");
  });
  table("vns", "virtual networks with members here", async (agent, out) =>
    show(await agent.vns(), VN, out, "no VN has members here"),
  );
  table("tags", "which tag is lent to which VN, on each port", async (agent, out) => {
    const vns = await agent.vns();
    show(vns.flatMap(tagRows), TAG, out, "no tag is lent");
  });
  table("neighbors", "who is at the other end, from LLDP", async (agent, out) => {
    const rows = (await agent.ports()).flatMap((port) =>
      port.neighbors.map((neighbor) => ({ port: port.interface, ...neighbor })),
    );
    show(rows, NEIGHBOR, out, "no neighbors: nothing heard in LLDP");
  });
  table(
    "bindings",
    "ports without protocol, and the VNs that they are bound to",
    async (agent, out) => showBindings(await agent.bindings(), out),
  );
  table(
    "peers",
    "other NVEs, and how long packets may be on the way there: found by probes",
    async (agent, out) =>
      show(await agent.peers(), PEER, out, "no other NVE has members of VNs here"),
  );
  table("refusals", "the last 100 requests that were refused, and why", async (agent, out) =>
    show(await agent.refusals(), REFUSAL, out, "nothing was refused"),
  );
  table("tables", "how full the dataplane's tables are", async (agent, out) =>
    show(await agent.tables(), TABLE, out, "this dataplane has no tables"),
  );
  countersCommand(world, command);
  fdbCommand(world, command);
  table(
    "conflicts",
    "MACs that are seen at a port and said to be elsewhere, where they stay",
    async (agent, out) => {
      const all = await agent.fdb(0);
      const rows = all.filter(({ where }) => where === "conflict");
      show(
        rows.map((row) => ({ ...row, said: saidAt(row, all) })),
        CONFLICT,
        out,
        "no conflict",
      );
    },
  );
  return command;
}

function fdbCommand(world: World, parent: Command): void {
  parent
    .command("fdb")
    .description("where each MAC address of a VN is")
    .option("--vn <id>", "of this VN only", argument(VnId))
    .action(({ vn }: { vn?: VnId }, self: Command) =>
      asking(world, self, async (agent, out) =>
        show((await agent.fdb(vn ?? 0)).filter(isBelieved), FDB, out, "no address is known"),
      ),
    );
}

const isBelieved = ({ where }: FdbEntry): boolean => where !== "conflict";

type Conflict = FdbEntry & { said: string };

function saidAt({ vnId, mac }: FdbEntry, all: readonly FdbEntry[]): string {
  const one = all.filter(isBelieved).find((entry) => entry.vnId === vnId && entry.mac === mac);
  if (one === undefined) return "";
  return one.where === "local" ? `${one.port}:${one.tag}` : one.nveId;
}

/** With who says so, where that is not who says the MAC. */
const ipTexts = ({ ips, ipProvenance, provenance }: FdbEntry): string[] =>
  ips.map((ip) => {
    const by = ipProvenance[ip]?.by;
    return by === undefined || by === provenance?.by ? ip : `${ip}(${by})`;
  });

type Agreed = "r" | "rte" | "rwd" | "rka";
/** Null: a port without protocol, which agrees on nothing. */
type Shown = Omit<PortStatus, Agreed> & { [K in Agreed]: number | null };

/** A port that speaks EVB has times: all 0, it is one without protocol. */
function withAgreed(port: PortStatus): Shown {
  const { r, rte, rwd, rka } = port;
  if (r + rte + rwd + rka > 0) return port;
  return { ...port, r: null, rte: null, rwd: null, rka: null };
}

type PortRow = Omit<Shown, "tagsLent" | "tagsFree" | "neighbors"> & {
  tagsLent?: number;
  tagsFree?: number;
  neighbor: string;
};

/** Of a port for several stations a row for itself, and one for each. */
function portRows(status: PortStatus): PortRow[] {
  const { neighbors, ...port } = withAgreed(status);
  const names = neighbors.map(({ systemName }) => systemName).join(" ");
  const { tagsLent: _, tagsFree: __, ...shared } = port;
  return [
    { ...port, neighbor: names },
    ...port.stations.map(({ mac, systemName, ...station }) => ({
      ...shared,
      ...station,
      neighbor: `${systemName} ${mac}`.trim(),
    })),
  ];
}

type VnicRow = Omit<SwitchVnic, "vns"> & { vn?: number; tag?: number; mac?: string; ips?: string };

function vnicRows({ vns, ...vnic }: SwitchVnic): VnicRow[] {
  const rows = vns.flatMap(({ vnId, tag, macs }): VnicRow[] => {
    const row = { ...vnic, vn: vnId, tag };
    if (macs.length === 0) return [row];
    return macs.map(({ mac, ips }) => ({ ...row, mac, ips: few(ips, " ") }));
  });
  return rows.length === 0 ? [vnic] : rows;
}

type TagRow = { port: string; tag: number; vn: number; alias: string; vnics: number };

const tagRows = ({ vnId, alias, tags }: SwitchVn): TagRow[] =>
  tags.map(({ port, tag, vnics }) => ({ port, tag, vn: vnId, alias, vnics }));

const time = (unixMs: bigint): string =>
  unixMs === 0n ? "" : new Date(Number(unixMs)).toISOString();

const PORT: readonly Column<PortRow>[] = [
  ...edgeColumns("PORT"),
  { head: "TAGS-LENT", of: ({ tagsLent }) => tagsLent },
  { head: "TAGS-FREE", of: ({ tagsFree }) => tagsFree },
  { head: "NEIGHBOR", of: ({ neighbor }) => neighbor },
];

const VNIC: readonly Column<VnicRow>[] = [
  { head: "VNIC", of: ({ vnic }) => vnic },
  { head: "PORT", of: ({ port }) => port },
  { head: "STATE", of: ({ state }) => state },
  { head: "VN", of: ({ vn }) => vn },
  { head: "TAG", of: ({ tag }) => tag },
  { head: "MAC", of: ({ mac }) => mac },
  { head: "IP", of: ({ ips }) => ips },
  { head: "VM", of: ({ vmName }) => vmName },
  { head: "HYPERVISOR", of: ({ hypervisor }) => hypervisor },
  { head: "STATION", of: ({ station }) => station },
  { head: "SINCE", of: ({ sinceUnixMs }) => time(sinceUnixMs) },
];

const PEER: readonly Column<Peer>[] = [
  { head: "VTEP", of: ({ vtep }) => vtep },
  { head: "NVE", of: ({ nves }) => few(nves) },
  { head: "VNS", of: ({ vnIds }) => few(vnIds.map(String)) },
  { head: "NEED", of: ({ need }) => (need === 0 ? "" : need) },
  { head: "PATH-MTU", of: ({ pathMtu }) => (pathMtu === 0 ? "" : pathMtu) },
  { head: "STATE", of: ({ state }) => state },
  {
    head: "SINCE",
    of: ({ sinceUnixMs: since }) => (since === 0n ? "" : new Date(Number(since)).toISOString()),
  },
];

const VN: readonly Column<SwitchVn>[] = [
  { head: "VN", of: ({ vnId }) => vnId },
  { head: "ALIAS", of: ({ alias }) => alias },
  { head: "VNI", of: ({ vni }) => vni },
  { head: "TAGS", of: ({ tags }) => tags.map(({ port, tag }) => `${port}:${tag}`).join(" ") },
  { head: "LEARNING", of: ({ learning }) => learning },
  { head: "FLOOD", of: ({ flood }) => flood },
  { head: "PROFILE", of: ({ profile }) => profile && profileText(profile) },
  { head: "LOCAL-MACS", of: ({ localMacs }) => localMacs },
  { head: "REMOTE-MACS", of: ({ remoteMacs }) => remoteMacs },
  { head: "REMOTE-NVES", of: ({ remoteNves }) => remoteNves.join(", ") },
];

function profileText({ name, notEnforced }: SwitchVnProfile): string {
  const not = notEnforced.length === 0 ? "" : ` (${notEnforced.join(", ")} not enforced)`;
  return `${name || "unnamed"}${not}`;
}

const TAG: readonly Column<TagRow>[] = [
  { head: "PORT", of: ({ port }) => port },
  { head: "TAG", of: ({ tag }) => tag },
  { head: "VN", of: ({ vn }) => vn },
  { head: "ALIAS", of: ({ alias }) => alias },
  { head: "VNICS", of: ({ vnics }) => vnics },
];

const FDB: readonly Column<FdbEntry>[] = [
  { head: "VN", of: ({ vnId }) => vnId },
  { head: "VNI", of: ({ vni }) => vni },
  { head: "MAC", of: ({ mac }) => mac },
  { head: "IP", of: (entry) => few(ipTexts(entry), " ") },
  { head: "WHERE", of: ({ where, moved }) => (moved ? "moved" : where) },
  { head: "AT", of: ({ where, port, tag, vtep }) => (where === "local" ? `${port}:${tag}` : vtep) },
  { head: "NVE", of: ({ nveId }) => nveId },
  { head: "VNIC", of: ({ vnic }) => vnic },
  { head: "APPLIED", of: ({ applied }) => (applied ? "yes" : "no") },
  { head: "BY", of: ({ provenance }) => provenance?.by },
  { head: "SINCE", of: ({ provenance }) => time(provenance?.sinceUnixMs ?? 0n) },
  { head: "UNTIL", of: ({ provenance }) => time(provenance?.untilUnixMs ?? 0n) },
];

const CONFLICT: readonly Column<Conflict>[] = [
  { head: "VN", of: ({ vnId }) => vnId },
  { head: "MAC", of: ({ mac }) => mac },
  { head: "SEEN-AT", of: ({ port, tag }) => `${port}:${tag}` },
  { head: "SAID-AT", of: ({ said }) => said },
  { head: "SINCE", of: ({ provenance }) => time(provenance?.sinceUnixMs ?? 0n) },
  { head: "UNTIL", of: ({ provenance }) => time(provenance?.untilUnixMs ?? 0n) },
];

const NEIGHBOR: readonly Column<Neighbor & { port: string }>[] = [
  { head: "PORT", of: ({ port }) => port },
  ...neighborColumns,
];

const REFUSAL: readonly Column<Refusal>[] = [
  { head: "AT", of: ({ atUnixMs }) => time(atUnixMs) },
  { head: "PORT", of: ({ port }) => port },
  { head: "VNIC", of: ({ vnic }) => vnic },
  { head: "VN", of: ({ vnId }) => (vnId === 0 ? "" : vnId) },
  { head: "CODE", of: ({ code }) => code },
  { head: "REASON", of: ({ reason }) => reason },
];

const TABLE: readonly Column<DataplaneTable>[] = [
  { head: "TABLE", of: ({ name }) => name },
  { head: "ENTRIES", of: ({ entries }) => Number(entries) },
  { head: "SIZE", of: ({ size }) => Number(size) },
  { head: "OCTETS-EACH", of: ({ octets }) => octets },
  { head: "MEMORY", of: ({ memory }) => (memory === 0n ? "" : Number(memory)) },
  { head: "REFUSED", of: ({ refused }) => Number(refused) },
];
