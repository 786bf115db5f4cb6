import { few } from "@nve/program/output";
import { Command } from "commander";
import { readPolicy } from "../domain/read.ts";
import { type Declaring, declareCommands } from "./declare.ts";
import { columns, type Outside } from "./outside.ts";
import type { Setting } from "./settings.ts";
import { description, oneName } from "./tenant.ts";

/** Where neither the flag nor what there is says one. */
const ORDER = 100;

const settings: readonly Setting[] = [
  { flag: "--action <word>", says: "allow or deny", field: ["action"] },
  {
    flag: "--order <n>",
    says: `policies are asked from the lowest on (new ones: ${ORDER})`,
    field: ["order"],
  },
  { flag: "--vns <patterns...>", says: "patterns of tenant/alias, as acme/*", field: ["vns"] },
  {
    flag: "--hypervisors <patterns...>",
    says: "patterns of their ids, as lab-*",
    field: ["hypervisors"],
  },
  { flag: "--nves <patterns...>", says: "patterns of their ids", field: ["nves"] },
  {
    flag: "--ports <patterns...>",
    says: "patterns of ports of the NVE, as swp1",
    field: ["ports"],
  },
  { flag: "--vnics <patterns...>", says: "patterns of VNIC Names", field: ["vnics"] },
  {
    flag: "--stations <patterns...>",
    says: "patterns of MAC addresses of servers, as 52:54:*",
    field: ["stations"],
  },
  {
    flag: "--authenticated",
    says: "only stations that have proven a key",
    field: ["authenticated"],
    word: "true",
  },
  description,
];

export function policyCommand(outside: Outside): Command {
  const policy: Declaring<"policy"> = {
    kind: "policy",
    plural: "policies",
    ...oneName("policy"),
    settings,
    // As they are asked: the names come sorted, and sort() is stable.
    order: (a, b) => a.order - b.order,
    read: (name, input) => readPolicy(name, input, ORDER),
    table: columns({
      ORDER: ({ value }) => value.order,
      POLICY: ({ value }) => value.name,
      ACTION: ({ value }) => (value.deny ? "deny" : "allow"),
      VNS: ({ value }) => few(value.vns),
      HYPERVISORS: ({ value }) => few(value.hypervisors),
      NVES: ({ value }) => few(value.nves),
      PORTS: ({ value }) => few(value.ports),
      VNICS: ({ value }) => few(value.vnics),
      STATIONS: ({ value }) => few(value.stations),
      AUTHENTICATED: ({ value }) => (value.authenticated ? "yes" : ""),
      REVISION: ({ revision }) => String(revision),
    }),
  };
  return declareCommands(
    new Command("policy").description("policies: who may attach what where"),
    outside,
    policy,
  ).addHelpText("after", examples);
}

const examples = `
The first policy that matches counts; where none does, the VN's admission decides. A list that is not given matches all.

Examples:
  nva policy create lab-only --action deny --order 20 --vns "acme/*" --hypervisors "lab-*"
  nva policy list`;
