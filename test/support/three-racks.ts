import { cpSync, mkdtempSync, readFileSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { findTopology } from "@nve/lab/find";

/**
 * A copy of lab/two-racks with a third rack: srv4 with its VMs is behind tor3 (VTEP 10.0.3.13), so that there is somebody
 * who speaks to what moves from tor1 to tor2. @param nva lines added to the NVA's config
 */
export function threeRacks(nva = ""): string {
  const folder = mkdtempSync(join(tmpdir(), "three-racks-"));
  cpSync(dirname(findTopology("two-racks")), folder, { recursive: true });
  const read = (name: string) => readFileSync(join(folder, name), "utf8");
  cpSync(join(folder, "tor2"), join(folder, "tor3"), { recursive: true });
  const tor3 = read("tor2/config.yaml").replace("tor2", "tor3").replace("10.0.2.12", "10.0.3.13");
  writeFileSync(join(folder, "tor3/config.yaml"), tor3);
  writeFileSync(join(folder, "nva/config.yaml"), read("nva/config.yaml") + nva);
  const topology = read("two-racks.clab.yml")
    .replace("- ip addr add 10.0.2.1/24 dev eth2", "$&\n        - ip addr add 10.0.3.1/24 dev eth4")
    .replace(
      "    tor2:\n",
      `    tor3:
      kind: linux
      group: tor
      binds: ["tor3/config.yaml:/run/split-nve/config.yaml:ro"]
      exec:
        - ip addr add 10.0.3.13/24 dev eth3
        - ip route add default via 10.0.3.1
    tor2:
`,
    )
    .replace('"tor2:eth2"', '"tor3:eth2"')
    .replace(
      '    - { endpoints: ["nva:eth1"',
      '    - { endpoints: ["tor3:eth3", "spine:eth4"], mtu: 1600 }\n$&',
    );
  const path = join(folder, "two-racks.clab.yml");
  writeFileSync(path, topology);
  return path;
}
