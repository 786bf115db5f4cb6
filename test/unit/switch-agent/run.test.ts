import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { serve } from "@nve/program";
import { run } from "@nve/switch-agent/run";
import { expect, test } from "vitest";

test("a second agent is refused before it touches what the first has in the kernel", async () => {
  const folder = mkdtempSync(join(tmpdir(), "switch-agent-"));
  const socket = `unix:${join(folder, "agent.sock")}`;
  const config = join(folder, "config.yaml");
  writeFileSync(
    config,
    `{ nve: tor1, vtep: 192.0.2.1, nva: { addresses: ["192.0.2.10:7470"], insecure: true }, ports: [{ name: swp1 }], socket: "${socket}" }`,
  );
  const first = await serve(socket, []);
  try {
    await expect(run(config)).rejects.toThrow("another process serves"); // not: no rights, nve-vxlan is there already
  } finally {
    await first.close();
    rmSync(folder, { recursive: true });
  }
});
