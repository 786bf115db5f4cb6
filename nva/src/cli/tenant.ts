import { Command } from "commander";
import { readTenant } from "../domain/read.ts";
import { nameText } from "../domain/text.ts";
import { type Declaring, declareCommands } from "./declare.ts";
import { columns, type Outside } from "./outside.ts";

export const description = {
  flag: "--description <text>",
  says: "for people",
  field: ["description"],
} as const;

/** What names a tenant, profile or policy. */
export const oneName = (of: string) => ({
  names: [{ argument: "name", says: `name of the ${of}` }],
  key: (_: unknown, [name = ""]: readonly string[]) => nameText(name),
  named: ({ name }: { name: string }) => ({ name }),
});

export function tenantCommand(outside: Outside): Command {
  const tenant: Declaring<"tenant"> = {
    kind: "tenant",
    plural: "tenants",
    ...oneName("tenant"),
    settings: [
      { flag: "--max-vns <n>", says: "VNs that it may have", field: ["maxVns"] },
      description,
    ],
    read: readTenant,
    table: columns({
      TENANT: ({ value }) => value.name,
      "MAX VNS": ({ value }) => value.maxVns ?? "",
      REVISION: ({ revision }) => String(revision),
      DESCRIPTION: ({ value }) => value.description ?? "",
    }),
  };
  return declareCommands(
    new Command("tenant").description("tenants: whose VNs there are"),
    outside,
    tenant,
  ).addHelpText("after", "\nExamples:\n  nva tenant create acme --max-vns 10\n  nva tenant list");
}
