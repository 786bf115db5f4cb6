import { few } from "@nve/program/output";
import { Uuid } from "@nve/protocol-spec/ids";
import { Command } from "commander";
import { readVnic } from "../domain/read.ts";
import { type Declaring, declareCommands } from "./declare.ts";
import { columns, type Outside } from "./outside.ts";
import { addresses, type Setting } from "./settings.ts";
import { description } from "./tenant.ts";

const settings: readonly Setting[] = [
  {
    flag: "--vn <addresses...>",
    says: "all it may have: tenant/alias, or tenant/alias=<mac>, or tenant/alias=<mac>,<ip>,<ip>",
    field: ["vns"],
    tree: addresses,
  },
  {
    flag: "--hypervisors <patterns...>",
    says: "where it may be: patterns of hypervisor ids",
    field: ["hypervisors"],
  },
  {
    flag: "--standby <places...>",
    says: "it runs at all of these at once, the best first: patterns of hypervisors or NVEs",
    field: ["standby", "places"],
    whole: ["standby"],
  },
  {
    flag: "--revert",
    says: "the best place gets its traffic back when it is there again",
    field: ["standby", "revert"],
    word: "true",
  },
  description,
];

export function vnicCommand(outside: Outside): Command {
  const vnic: Declaring<"vnic"> = {
    kind: "vnic",
    plural: "VNICs",
    names: [{ argument: "uuid", says: "VNIC Name" }],
    key: (_, [uuid = ""]) => Uuid(uuid),
    settings,
    read: (key, input) => readVnic(Uuid(key), input),
    named: ({ vnic: uuid }) => ({ vnic: uuid }),
    isOfTenant: true,
    table: columns({
      VNIC: ({ value }) => value.vnic,
      HYPERVISORS: ({ value }) => few(value.hypervisors),
      VNS: ({ value }) => few(value.vns.map(({ vn }) => vn)),
      STANDBY: ({ value }) => few(value.standby?.places ?? []),
      MACS: ({ value }) => few(value.vns.flatMap(({ macs }) => macs.map(({ mac }) => mac))),
      REVISION: ({ revision }) => String(revision),
      DESCRIPTION: ({ value }) => value.description ?? "",
    }),
  };
  return declareCommands(
    new Command("vnic").description("VNICs that orchestration expects"),
    outside,
    vnic,
  ).addHelpText("after", examples);
}

const examples = `
Examples:
  nva vnic create 2b9f1c1e-7f5e-4c7a-9a54-1f0d6c1f2a01 --hypervisors "srv*" \\
    --vn acme/blue=02:00:00:00:00:0a,10.0.0.10,10.0.0.11 --vn acme/red
  nva vnic update 2b9f1c1e-7f5e-4c7a-9a54-1f0d6c1f2a01 --standby srv1 srv3 --revert
  nva vnic list --tenant acme`;
