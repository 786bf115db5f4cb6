import { type Capability, hasCapability } from "./capabilities.ts";

/** What no agent can do without, and what for. CAP_SYS_ADMIN stands for CAP_BPF (capabilities(7)). */
const NEEDED: readonly { any: readonly Capability[]; use: string }[] = [
  { any: ["CAP_NET_RAW"], use: "LLDP, ECP and VDP frames" },
  { any: ["CAP_NET_ADMIN"], use: "interfaces, and tc programs" },
  { any: ["CAP_BPF", "CAP_SYS_ADMIN"], use: "BPF programs and maps" },
];

/** Names all rights that an agent lacks, and what to do; undefined: it has them. */
export function missingRights(
  has: (capability: Capability) => boolean = hasCapability,
): string | undefined {
  const missing = NEEDED.filter(({ any }) => !any.some((one) => has(one)));
  if (missing.length === 0) return undefined;
  const names = missing.map(({ any: [name] }) => name);
  const what = missing.map(({ any: [name], use }) => `${name} (${use})`).join(", ");
  return `not permitted here: ${what} missing; run as root, or give the service AmbientCapabilities=${names.join(" ")}`;
}
