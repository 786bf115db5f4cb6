import { mkdirSync, mkdtempSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { stringify } from "yaml";
import { guestOf, type Moved, servers, tapOf, tors } from "./plan.ts";

const config = "/run/split-nve/config.yaml";
/** Of a ToR, towards the router. */
const uplink = "under";
const nvaAddress = "198.51.100.1";

/** Of NVA and agents: what a crash costs in time is shorter than by default, so that a quiet point is soon there. */
const evb = { rka: 19 };
const migration = { holdSeconds: 10, forwardSeconds: 1, forwardMostSeconds: 15 };

const configs: Readonly<Record<string, object>> = {
  nva: {
    listen: { address: "0.0.0.0:7470", insecure: true },
    store: { use: "lmdb", path: "/run/split-nve/store" },
    holdSeconds: 30,
    migration,
  },
  ...Object.fromEntries(
    tors.map(({ name, vtep, ports }) => [
      name,
      {
        nve: name,
        vtep,
        nva: { addresses: [`${nvaAddress}:7470`], insecure: true },
        ports: ports.map((port) => ({ name: port, checkSource: true })),
        evb,
        dataplane: { holdSeconds: 15 },
      },
    ]),
  ),
  ...Object.fromEntries(
    servers.map(({ name }) => [name, { hypervisor: name, uplinks: [{ name: "eth1" }], evb }]),
  ),
};

/**
 * Three racks of two servers, a router between them, one NVA over a store on disk, and one node with the VM's end of every
 * tap: a VNIC has a tap at each server that it may be at. @returns the path of the topology file
 */
export function writeTopology(vnics: readonly Moved[]): { folder: string; path: string } {
  const folder = mkdtempSync(join(tmpdir(), "migration-soak-"));
  for (const [node, values] of Object.entries(configs)) {
    mkdirSync(join(folder, node));
    writeFileSync(join(folder, node, "config.yaml"), stringify(values));
  }
  const path = join(folder, "soak.clab.yml");
  const quiet = { "net.ipv6.conf.default.disable_ipv6": 1 };
  const runs = (node: string, cmd: string, exec: readonly string[]) => ({
    kind: "linux",
    cmd: `${cmd} run --config ${config}`,
    binds: [`${node}/config.yaml:${config}:ro`],
    sysctls: quiet,
    ...(exec.length > 0 && { exec }),
  });
  const nodes = {
    spine: {
      kind: "linux",
      sysctls: { "net.ipv4.ip_forward": 1 },
      exec: [
        ...tors.map(({ n }) => `ip addr add 10.0.${n}.1/24 dev eth${n}`),
        `ip addr add 198.51.100.254/24 dev eth${tors.length + 1}`,
      ],
    },
    guests: { kind: "linux", sysctls: quiet },
    nva: runs("nva", "nva", [
      `ip addr add ${nvaAddress}/24 dev eth1`,
      "ip route add 10.0.0.0/16 via 198.51.100.254",
    ]),
    ...Object.fromEntries(
      tors.map(({ name, n, vtep }) => [
        name,
        runs(name, "switch-agent", [
          `ip addr add ${vtep}/24 dev ${uplink}`,
          `ip route add default via 10.0.${n}.1`,
        ]),
      ]),
    ),
    ...Object.fromEntries(servers.map(({ name }) => [name, runs(name, "hypervisor-agent", [])])),
  };
  const access = servers.map(({ name, tor, port }) => ({
    endpoints: [`${name}:eth1`, `${tor}:${port}`],
    mtu: 1600,
  }));
  const underlay = tors.map(({ name, n }) => ({
    endpoints: [`${name}:${uplink}`, `spine:eth${n}`],
    mtu: 1600,
  }));
  const taps = vnics.flatMap((vnic) =>
    vnic.places.map((at) => ({
      endpoints: [`${at.name}:${tapOf(vnic)}`, `guests:${guestOf(vnic, at)}`],
      mtu: 1500,
    })),
  );
  const nva = { endpoints: ["nva:eth1", `spine:eth${tors.length + 1}`], mtu: 1600 };
  const topology = { nodes, links: [...access, ...underlay, nva, ...taps] };
  writeFileSync(path, stringify({ name: "soak", prefix: "__lab-name", topology }));
  return { folder, path };
}
