import { appendFileSync, cpSync, mkdirSync, mkdtempSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { findTopology } from "@nve/lab/find";

/**
 * A copy of lab/two-racks whose servers have more in their configs.
 * @param more lines for a server, which has a folder of its own
 * @returns the topology file, and the servers' folders
 */
export function configuredRacks(more: (folder: string, server: string) => string) {
  const copy = mkdtempSync(join(tmpdir(), "configured-racks-"));
  cpSync(dirname(findTopology("two-racks")), copy, { recursive: true });
  const folderOf = (server: string): string => join(copy, `files-${server}`);
  for (const server of ["srv1", "srv2", "srv3", "srv4"]) {
    mkdirSync(folderOf(server));
    appendFileSync(join(copy, server, "config.yaml"), more(folderOf(server), server));
  }
  return { copy, topology: join(copy, "two-racks.clab.yml"), folderOf };
}
