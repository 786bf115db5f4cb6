import { cpSync, mkdtempSync, readFileSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { findTopology } from "@nve/lab/find";
import type { EncapsulationName } from "@nve/switch-agent/nve";

type Lists = { tor1: readonly EncapsulationName[]; tor2: readonly EncapsulationName[] };

export const vtep = {
  4: { tor1: "10.0.1.11", tor2: "10.0.2.12" },
  6: { tor1: "2001:db8:1::11", tor2: "2001:db8:2::12" },
} as const;

/**
 * A copy of lab/two-racks in which each switch has a list of encapsulations, over an underlay of IPv4 or of IPv6.
 * @returns the folder, with `two-racks.clab.yml`
 */
export function encapsulationLab(lists: Lists, family: 4 | 6): string {
  const folder = mkdtempSync(join(tmpdir(), "encapsulation-"));
  cpSync(dirname(findTopology("two-racks")), folder, { recursive: true });
  const edit = (name: string, change: (text: string) => string) =>
    writeFileSync(join(folder, name), change(readFileSync(join(folder, name), "utf8")));
  for (const tor of ["tor1", "tor2"] as const) {
    edit(`${tor}/config.yaml`, (text) => {
      const whole = text.replace(/vtep: .*/, `vtep: "${vtep[family][tor]}"`);
      return `${whole}dataplane: { encapsulations: [${lists[tor].join(", ")}] }\n`;
    });
  }
  if (family === 6) edit("two-racks.clab.yml", withIpv6);
  return folder;
}

/** Beside IPv4, over which the switches speak to the NVA still. */
export const withIpv6 = (text: string): string =>
  text
    .replace(
      /(cmd: switch-agent .*\n +sysctls: \{).*\}/,
      "$1 net.ipv6.conf.default.disable_ipv6: 0, net.ipv6.conf.default.accept_dad: 0 }",
    )
    .replace(
      "sysctls: { net.ipv4.ip_forward: 1 }",
      "sysctls: { net.ipv4.ip_forward: 1, net.ipv6.conf.all.forwarding: 1, net.ipv6.conf.default.accept_dad: 0 }",
    )
    .replace(
      "- ip addr add 10.0.1.1/24 dev eth1",
      "$&\n        - ip addr add 2001:db8:1::1/64 dev eth1",
    )
    .replace(
      "- ip addr add 10.0.2.1/24 dev eth2",
      "$&\n        - ip addr add 2001:db8:2::1/64 dev eth2",
    )
    .replace(
      "- ip route add default via 10.0.1.1",
      "$&\n        - ip addr add 2001:db8:1::11/64 dev eth3\n        - ip route add default via 2001:db8:1::1",
    )
    .replace(
      "- ip route add default via 10.0.2.1",
      "$&\n        - ip addr add 2001:db8:2::12/64 dev eth3\n        - ip route add default via 2001:db8:2::1",
    );
