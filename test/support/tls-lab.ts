import { cpSync, mkdtempSync, readFileSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { findTopology } from "@nve/lab/find";
import { initPki, issueIn } from "@nve/nva/pki/pki";
import { IpAddress } from "@nve/protocol-spec";
import { nveSubject } from "./certificates.ts";

const PLAIN = "insecure: true";

export type TlsLab = {
  /** Of the topology file. */
  folder: string;
  /** Of the CA; the programs use its files where they are made. */
  pki: string;
  /** `tls: {…}` with the certificate of a name. */
  tls(name: string): string;
};

/** A copy of lab/two-racks in which NVA and NVEs talk with mutual TLS. */
export function tlsLab(): TlsLab {
  const folder = mkdtempSync(join(tmpdir(), "tls-lab-"));
  cpSync(dirname(findTopology("two-racks")), folder, { recursive: true });
  const pki = join(folder, "pki");
  initPki(pki, 30, false);
  const tls = (name: string): string => {
    const file = (one: string) => join(pki, name, `${one}.pem`);
    return `tls: { certificate: ${file("certificate")}, key: ${file("key")}, ca: ${file("ca")} }`;
  };
  const nva = { is: "nva", id: "nva-1", ips: [IpAddress("198.51.100.1")], dns: [] } as const;
  for (const [node, subject] of [
    ["nva", nva],
    ["tor1", nveSubject("tor1", "10.0.1.11")],
    ["tor2", nveSubject("tor2", "10.0.2.12")],
  ] as const) {
    const { name } = issueIn(pki, subject, 10, false);
    const config = join(folder, node, "config.yaml");
    const text = readFileSync(config, "utf8").replace(PLAIN, tls(name));
    writeFileSync(config, text.replace("use: memory", `use: lmdb\n  path: ${folder}/store`));
  }
  return { folder, pki, tls };
}
