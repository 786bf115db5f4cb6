import { certificateText } from "@nve/program/certificate-text";
import { showOne, toJson } from "@nve/program/output";
import { Command } from "commander";
import { asking, type World } from "./world.ts";

export function statusCommand(world: World): Command {
  return new Command("status")
    .description("is it well: NVA, dataplane, and how much there is of everything")
    .action((_: object, command: Command) =>
      asking(world, command, async (agent, out) => {
        const status = await agent.status();
        if (out.json) return out.print(toJson(status));
        const { nvaState, nvaAddress, nvaReason } = status;
        const why = nvaReason === "" ? "" : ` (${nvaReason})`;
        showOne(
          {
            nve: status.nveId,
            vtep: status.vtep,
            version: status.version,
            "started at": new Date(Number(status.startedUnixMs)).toISOString(),
            nva: `${nvaState}, ${nvaAddress}${why}`,
            certificate: certificateText(status.certificateValidToUnixMs, status.certificateFault),
            "nva revision": String(status.nvaRevision),
            dataplane: `${status.dataplane}, ${status.dataplaneState}`,
            ...(status.warnings.length > 0 && { warnings: status.warnings.join("; ") }),
            ports: String(status.ports),
            vns: String(status.vns),
            vnics: String(status.vnics),
            "local macs": String(status.localMacs),
            "remote macs": String(status.remoteMacs),
          },
          out,
        );
      }),
    );
}
