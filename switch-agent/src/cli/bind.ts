import { VnRef } from "@nve/program/ids";
import { type Column, type Output, show, toJson } from "@nve/program/output";
import { argument, textArgument } from "@nve/program/program";
import { Mac, Vid } from "@nve/protocol-spec/ids";
import { type IpPrefix, prefixesIn } from "@nve/protocol-spec/ip";
import type { StaticBinding } from "@nve/protocol-spec/proto/agent";
import { Command } from "commander";
import { asking, type World } from "./world.ts";

type Binding = { vn: VnRef; vlan?: number; mac?: MacIps[]; strict: boolean };
type MacIps = { mac: Mac; ips: IpPrefix[] };

const EXAMPLES = `
Examples:
  switch-agent bind swp5 --vn 5001
  switch-agent bind swp5 --vn 5002 --vlan 20 --mac 02:00:00:00:00:0a=10.0.0.1,10.0.0.2 --strict
`;

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
    .addHelpText("after", EXAMPLES)
    .action((port: string, { vn, vlan = 0, mac: macs = [], strict }: Binding, command: Command) => {
      if (strict && macs.length === 0) {
        command.error("error: --strict needs --mac: it lets nothing in but what is named");
      }
      const named = typeof vn === "number" ? { vnId: vn, vnName: "" } : { vnId: 0, vnName: vn };
      const request = { port, tag: vlan, ...named, macs, strict };
      return asking(world, command, async (agent, out) => {
        const binding = await agent.bind(request);
        if (out.json) out.print(toJson(binding));
        else showBindings([binding], out);
      });
    });
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
          json ? toJson({ unbound: { port, tag: vlan } }) : `${port}, ${tagText(vlan)}: unbound`,
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

const tagText = (tag: number): string => (tag === 0 ? "untagged" : `tag ${tag}`);

const collected = (text: string, before: MacIps[] = []): MacIps[] => [
  ...before,
  textArgument(macIps)(text),
];

/** `02:00:00:00:00:0a=10.0.0.1,10.0.0.0/28` */
function macIps(text: string): MacIps {
  const [mac = "", ips] = text.split("=", 2);
  return { mac: Mac(mac), ips: ips === undefined ? [] : ips.split(",").flatMap(prefixesIn) };
}
