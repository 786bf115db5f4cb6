import { setTimeout } from "node:timers/promises";
import { Refused } from "@nve/program/errors";
import { StationMac, VnRef } from "@nve/program/ids";
import { type Column, type Output, show, toJson } from "@nve/program/output";
import { argument, textArgument } from "@nve/program/program";
import { type Mac, Vid } from "@nve/protocol-spec/ids";
import { type IpPrefix, prefixesIn } from "@nve/protocol-spec/ip";
import type { StaticBinding } from "@nve/protocol-spec/proto/agent";
import { Command } from "commander";
import { type AgentClient, asking, type World } from "./world.ts";

type Binding = { vn: VnRef; vlan?: number; mac?: MacIps[]; strict: boolean; wait: boolean };
type MacIps = { mac: Mac; ips: IpPrefix[] };

const EXAMPLES = `
Examples:
  switch-agent bind swp5 --vn 5001
  switch-agent bind swp5 --vn 5002 --vlan 20 --mac 02:00:00:00:00:0a=10.0.0.1,10.0.0.2 --strict
  switch-agent bind swp6 --vn 5003 --no-wait      the VN is made later

Exit codes: 0 bound (with --no-wait: kept), 1 refused or not decided in 10 s; the binding is kept and asked for again
until \`unbind\` takes it back. 2 usage.
`;

/** How long a decision is waited for, and how often it is looked for. */
const PATIENCE_MS = 10_000;
const LOOK_MS = 200;

/** `bind <port> --vn …`: a port without protocol, or a VLAN of it, into a VN (A11). */
export function bindCommand(world: World): Command {
  return new Command("bind")
    .description("bind a port without protocol, or a VLAN of it, to a VN: kept over restarts")
    .argument("<port>", "a port that has `static` in the config")
    .requiredOption("--vn <id|name>", "VN ID, or VN Name (a UUID)", textArgument(VnRef))
    .option("--vlan <id>", "frames with this tag; without it the untagged ones", argument(Vid))
    .option(
      "--mac <mac[=ip,…]>",
      "a MAC that is there, with its IPs; again for each. Others are learnt",
      collected,
    )
    .option("--strict", "let frames from no other MACs in", false)
    .option("--no-wait", "done when it is kept, whatever the NVA decides (`show bindings` tells)")
    .addHelpText("after", EXAMPLES)
    .action((port: string, options: Binding, command: Command) => {
      const { vn, vlan = 0, mac: macs = [], strict, wait } = options;
      if (strict && macs.length === 0) {
        command.error("error: --strict needs --mac: it lets nothing in but what is named");
      }
      const named = typeof vn === "number" ? { vnId: vn, vnName: "" } : { vnId: 0, vnName: vn };
      const request = { port, tag: vlan, ...named, macs, strict };
      return asking(world, command, async (agent, out) => {
        const answer = await agent.bind(request);
        const binding = wait ? await decided(agent, answer) : answer;
        if (out.json) out.print(toJson(binding));
        else showBindings([binding], out);
        if (wait && binding.state !== "bound") throw notBound(binding);
      });
    });
}

/** As it is when it is bound or refused, or time is up: while the NVA is away it waits. */
async function decided(agent: AgentClient, first: StaticBinding): Promise<StaticBinding> {
  const deadline = performance.now() + PATIENCE_MS;
  let binding = first;
  while (["deciding", "waiting"].includes(binding.state) && performance.now() < deadline) {
    await setTimeout(LOOK_MS);
    const all = await agent.bindings();
    const now = all.find(({ port, tag }) => port === first.port && tag === first.tag);
    if (now === undefined) throw new Refused(`${placeText(first)}: it was unbound meanwhile`);
    binding = now;
  }
  return binding;
}

function notBound(binding: StaticBinding): Refused {
  const { port, tag, state, reason } = binding;
  const what = state === "refused" ? "refused" : `not decided in ${PATIENCE_MS / 1000} s`;
  const unbind = `switch-agent unbind ${port}${tag === 0 ? "" : ` --vlan ${tag}`}`;
  const why = reason === "" ? "" : `: ${reason}`;
  return new Refused(
    `${placeText(binding)}: ${what}${why}. It is kept and asked for again, until \`${unbind}\``,
  );
}

export function unbindCommand(world: World): Command {
  return new Command("unbind")
    .description("take a binding back that was made with `bind`: its frames stop")
    .argument("<port>", "as it was bound")
    .option("--vlan <id>", "of this tag; without it of the untagged frames", argument(Vid))
    .action((port: string, { vlan = 0 }: { vlan?: number }, command: Command) =>
      asking(world, command, async (agent, { json, print }) => {
        await agent.unbind(port, vlan);
        print(
          json
            ? toJson({ unbound: { port, tag: vlan } })
            : `${placeText({ port, tag: vlan })}: unbound`,
        );
      }),
    );
}

export function showBindings(bindings: readonly StaticBinding[], out: Output): void {
  show(bindings, BINDING, out, "no port is bound to a VN");
}

const BINDING: readonly Column<StaticBinding>[] = [
  { head: "PORT", of: ({ port }) => port },
  { head: "VLAN", of: ({ tag }) => (tag === 0 ? "untagged" : tag) },
  { head: "VN", of: ({ vnId, vnName }) => (vnId === 0 ? vnName : vnId) },
  { head: "STATE", of: ({ state }) => state },
  { head: "BY", of: ({ origin }) => origin },
  { head: "MACS", of: ({ macs, strict }) => macsText(macs, strict) },
  { head: "REASON", of: ({ reason }) => reason },
];

const macsText = (macs: StaticBinding["macs"], strict: boolean): string =>
  [macs.map(({ mac }) => mac).join(" "), strict ? "(no others)" : ""].filter(Boolean).join(" ");

const placeText = ({ port, tag }: Pick<StaticBinding, "port" | "tag">): string =>
  `${port}, ${tag === 0 ? "untagged" : `tag ${tag}`}`;

const collected = (text: string, before: MacIps[] = []): MacIps[] => [
  ...before,
  textArgument(macIps)(text),
];

/** `02:00:00:00:00:0a=10.0.0.1,10.0.0.0/28` */
function macIps(text: string): MacIps {
  const [mac = "", ips] = text.split("=", 2);
  return { mac: StationMac(mac), ips: ips === undefined ? [] : ips.split(",").flatMap(prefixesIn) };
}
