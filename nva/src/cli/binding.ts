import { few } from "@nve/program/output";
import { Command } from "commander";
import { readBinding, stationMac } from "../domain/read.ts";
import { vnPath } from "../domain/text.ts";
import { type Declaring, declareCommands } from "./declare.ts";
import { columns, type Outside } from "./outside.ts";
import { vnPathOf } from "./resources.ts";
import type { Setting } from "./settings.ts";
import { description } from "./tenant.ts";

const settings: readonly Setting[] = [
  { flag: "--nve <id>", says: "where it is (required for a new one)", field: ["nve"] },
  { flag: "--ips <ips...>", says: "IP addresses and prefixes", field: ["ips"] },
  description,
];

export function bindingCommand(outside: Outside): Command {
  const binding: Declaring<"binding"> = {
    kind: "binding",
    plural: "bindings",
    names: [
      { argument: "vn", says: "VN ID, alias (or tenant/alias) or UUID" },
      { argument: "mac", says: "MAC address" },
    ],
    key: async (nva, [vn = "", text = ""]) => {
      const mac = stationMac(text);
      return `${await vnPathOf(nva, vn)}/${mac}`;
    },
    settings,
    read: (key, input) => {
      const at = key.lastIndexOf("/");
      return readBinding(vnPath(key.slice(0, at)), stationMac(key.slice(at + 1)), input);
    },
    named: ({ vn, mac }) => ({ vn, mac }),
    isOfTenant: true,
    table: columns({
      VN: ({ value }) => value.vn,
      MAC: ({ value }) => value.mac,
      IPS: ({ value }) => few(value.ips),
      NVE: ({ value }) => value.nve,
      REVISION: ({ revision }) => String(revision),
      DESCRIPTION: ({ value }) => value.description ?? "",
    }),
  };
  return declareCommands(
    new Command("binding").description("addresses bound to an NVE; they come before what NVEs say"),
    outside,
    binding,
  ).addHelpText("after", examples);
}

const examples = `
Examples:
  nva binding create acme/blue 02:00:00:00:00:0a --nve tor1 --ips 10.0.0.10
  nva binding delete acme/blue 02:00:00:00:00:0a`;
