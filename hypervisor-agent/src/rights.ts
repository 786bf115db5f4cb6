import { type Capability, hasCapability } from "@nve/linux";
import { Refused } from "@nve/program/errors";

/** What the agent cannot do without, and what for. CAP_SYS_ADMIN stands for CAP_BPF (capabilities(7)). */
const NEEDED: readonly { any: readonly Capability[]; use: string }[] = [
  { any: ["CAP_NET_RAW"], use: "LLDP, ECP and VDP frames" },
  { any: ["CAP_NET_ADMIN"], use: "interfaces, and tc programs" },
  { any: ["CAP_BPF", "CAP_SYS_ADMIN"], use: "BPF programs and maps" },
];

/** @throws Refused that names all that is missing, before anything is touched */
export function checkRights(has: (capability: Capability) => boolean = hasCapability): void {
  const missing = NEEDED.filter(({ any }) => !any.some((one) => has(one)));
  if (missing.length === 0) return;
  const names = missing.map(({ any: [name] }) => name);
  const what = missing.map(({ any: [name], use }) => `${name} (${use})`).join(", ");
  throw new Refused(
    `not permitted here: ${what} missing; run as root, or give the service AmbientCapabilities=${names.join(" ")}`,
  );
}
