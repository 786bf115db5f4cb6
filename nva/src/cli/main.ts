import { Command } from "commander";
import { version } from "../version.ts";
import { applyCommand, exportCommand } from "./apply.ts";
import { bindingCommand } from "./binding.ts";
import { duplicatesCommand } from "./duplicates.ts";
import { eventsCommand } from "./events.ts";
import { migrationCommand } from "./migration.ts";
import { type Outside, realOutside } from "./outside.ts";
import { pkiCommand } from "./pki.ts";
import { policyCommand } from "./policy.ts";
import { profileCommand } from "./profile.ts";
import { runCommand } from "./run.ts";
import { claimCommand, lookupCommand, mappingCommand, nveCommand, statusCommand } from "./show.ts";
import { tenantCommand } from "./tenant.ts";
import { vnCommand } from "./vn.ts";
import { vnicCommand } from "./vnic.ts";

/** The program `nva`. */
export function nvaProgram(outside: Outside = realOutside): Command {
  return new Command("nva")
    .description("Network virtualization authority: knows which address of which VN is where")
    .version(version)
    .addCommand(runCommand())
    .addCommand(tenantCommand(outside))
    .addCommand(profileCommand(outside))
    .addCommand(policyCommand(outside))
    .addCommand(vnCommand(outside))
    .addCommand(vnicCommand(outside))
    .addCommand(bindingCommand(outside))
    .addCommand(applyCommand(outside))
    .addCommand(exportCommand(outside))
    .addCommand(nveCommand(outside))
    .addCommand(mappingCommand(outside))
    .addCommand(claimCommand(outside))
    .addCommand(lookupCommand(outside))
    .addCommand(duplicatesCommand(outside))
    .addCommand(migrationCommand(outside))
    .addCommand(eventsCommand(outside))
    .addCommand(statusCommand(outside))
    .addCommand(pkiCommand(outside))
    .addHelpText("after", examples);
}

const examples = `
Examples:
  nva run --config nva.yaml
  nva vn create blue
  nva apply -f domain.yaml
  nva mapping list --vn blue
  nva status --json

Commands ask the NVA at unix:/run/split-nve/nva.sock, or where --address (or NVA_ADDRESS) says:
over TCP with --cert, --key and --ca (NVA_CERT, NVA_KEY, NVA_CA), or --insecure.
Exit codes: 0 done, 1 refused or failed, 2 usage.`;
