import { mkdirSync, mkdtempSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { initPki, issueIn } from "@nve/nva/pki/pki";
import { IpAddress } from "@nve/protocol-spec";
import { nveSubject } from "./certificates.ts";

export const domains = ["a", "b"] as const;
export type Domain = (typeof domains)[number];

/** What both domains call alike, on purpose. */
export const vn = { id: 10001, vni: 70001 } as const;
export const vms = [
  { mac: "02:00:00:00:00:01", ip: "10.9.0.1" },
  { mac: "02:00:00:00:00:02", ip: "10.9.0.2" },
] as const;

/** Where things of a domain are; its switches are `tor1` and `tor2` to its NVA, `<domain>tor1` … in the lab. */
export const placesOf = (domain: Domain) =>
  domain === "a"
    ? { nva: "198.51.100.1", vteps: ["10.0.1.11", "10.0.2.12"], crowd: "10.101" }
    : { nva: "198.51.101.1", vteps: ["10.0.3.11", "10.0.4.12"], crowd: "10.102" };

/** NVEs of a domain that are one program, each with VNICs of its own. */
export const crowd = { nves: 200, vnicsPerNve: 20, vns: 20, firstVn: 20_001 } as const;

export type DomainLab = {
  /** The topology file. */
  path: string;
  folder: string;
  pki(domain: Domain): string;
  /** `tls: {…}` with a certificate of a domain's CA. */
  tls(domain: Domain, name: string): string;
};

/**
 * Two NV domains on one underlay that know nothing of each other: each its NVA with its CA, two switches, two servers and
 * two VMs. NVE ids, VN, VNI, MAC and IP addresses are the same in both. Each CA certifies the NVEs of the crowd, too.
 */
export function domainLab(): DomainLab {
  const folder = mkdtempSync(join(tmpdir(), "domain-lab-"));
  const pki = (domain: Domain): string => join(folder, `pki-${domain}`);
  const tls: DomainLab["tls"] = (domain, name) => {
    const file = (one: string) => join(pki(domain), name, `${one}.pem`);
    return `tls: { certificate: ${file("certificate")}, key: ${file("key")}, ca: ${file("ca")} }`;
  };
  for (const domain of domains) {
    certify(pki(domain), domain);
    configure(folder, domain, tls);
  }
  const path = join(folder, "domains.clab.yml");
  writeFileSync(path, topology());
  return { path, folder, pki, tls };
}

function certify(pki: string, domain: Domain): void {
  const { nva, vteps, crowd: net } = placesOf(domain);
  initPki(pki, 30, false);
  issueIn(pki, { is: "nva", id: "nva-1", ips: [IpAddress(nva)], dns: [] }, 10, false);
  for (const [n, vtep] of vteps.entries()) issueIn(pki, nveSubject(`tor${n + 1}`, vtep), 10, false);
  for (let n = 0; n < crowd.nves; n++)
    issueIn(pki, nveSubject(`crowd${n}`, `${net}.0.${n + 1}`), 10, false);
}

function configure(folder: string, domain: Domain, tls: DomainLab["tls"]): void {
  const { nva, vteps } = placesOf(domain);
  const put = (node: string, text: string): void => {
    mkdirSync(join(folder, node));
    writeFileSync(join(folder, node, "config.yaml"), text);
  };
  put(
    `${domain}nva`,
    `listen:
  address: "0.0.0.0:7470"
  ${tls(domain, "nva/nva-1")}
store:
  use: lmdb
  path: ${folder}/store-${domain}
`,
  );
  for (const [i, vtep] of vteps.entries()) {
    const n = i + 1;
    put(
      `${domain}tor${n}`,
      `nve: tor${n}
vtep: ${vtep}
nva:
  addresses: ["${nva}:7470"]
  ${tls(domain, `nve/tor${n}`)}
ports:
  - name: eth1
`,
    );
    put(`${domain}srv${n}`, `hypervisor: srv${n}\nuplinks:\n  - name: eth1\n`);
  }
}

function topology(): string {
  const nodes: string[] = [];
  const links: string[] = [];
  const spine: string[] = [];
  let port = 0;
  const node = (name: string, group: string, exec: readonly string[], config = true): void => {
    const bind = config ? `, binds: ["${name}/config.yaml:/run/split-nve/config.yaml:ro"]` : "";
    const runs = exec.length > 0 ? `, exec: ${JSON.stringify(exec)}` : "";
    nodes.push(`    ${name}: { kind: linux, group: ${group}${runs}${bind} }`);
  };
  const link = (mtu: number, ...ends: readonly string[]): void => {
    links.push(`    - { endpoints: ${JSON.stringify(ends)}, mtu: ${mtu} }`);
  };
  /** A node's port to the spine, which routes and knows no tenant address. */
  const underlay = (name: string, own: string, address: string): string[] => {
    port += 1;
    const router = address.replace(/\d+$/, "254");
    spine.push(`ip addr add ${router}/24 dev eth${port}`);
    link(1600, `${name}:${own}`, `spine:eth${port}`);
    return [`ip addr add ${address}/24 dev ${own}`, `ip route add default via ${router}`];
  };
  for (const domain of domains) {
    const { nva, vteps } = placesOf(domain);
    node(`${domain}nva`, "nva", underlay(`${domain}nva`, "eth1", nva));
    for (const [i, vtep] of vteps.entries()) {
      const [tor, srv, vm] = [
        `${domain}tor${i + 1}`,
        `${domain}srv${i + 1}`,
        `${domain}vm${i + 1}`,
      ];
      const { mac, ip } = vms[i] ?? vms[0];
      node(tor, "tor", underlay(tor, "eth3", vtep));
      node(srv, "server", []);
      node(vm, "vm", [`ip link set eth0 address ${mac}`, `ip addr add ${ip}/24 dev eth0`], false);
      link(1600, `${srv}:eth1`, `${tor}:eth1`);
      link(1500, `${srv}:tap`, `${vm}:eth0`);
    }
  }
  const quiet = "{ net.ipv6.conf.default.disable_ipv6: 1 }";
  const run = "run --config /run/split-nve/config.yaml";
  return `name: domains
topology:
  groups:
    nva: { cmd: nva ${run}, sysctls: ${quiet} }
    tor: { cmd: switch-agent ${run}, sysctls: ${quiet} }
    server: { cmd: hypervisor-agent ${run}, sysctls: ${quiet} }
    vm: { sysctls: ${quiet}, exec: ["ip ntable change name arp_cache dev eth0 retrans 20"] }
  nodes:
    spine: { kind: linux, sysctls: { net.ipv4.ip_forward: 1 }, exec: ${JSON.stringify(spine)} }
${nodes.join("\n")}
  links:
${links.join("\n")}
`;
}
