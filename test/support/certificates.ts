import { mkdtempSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import {
  issue,
  type Lifetime,
  makeCa,
  newKey,
  type Pair,
  type Subject,
} from "@nve/nva/pki/certificate";
import type { TlsFiles } from "@nve/program/tls-files";
import { IpAddress } from "@nve/protocol-spec";

const HOUR = 3_600_000;
export const valid = (): Lifetime => ({ from: Date.now() - HOUR, to: Date.now() + 24 * HOUR });
export const over = (): Lifetime => ({ from: Date.now() - 2 * HOUR, to: Date.now() - HOUR });

export const nvaSubject: Subject = {
  is: "nva",
  id: "nva-1",
  ips: [IpAddress("127.0.0.1")],
  dns: ["localhost"],
};
export const nveSubject = (id: string, ...ips: string[]): Subject => ({
  is: "nve",
  id,
  ips: ips.map(IpAddress),
  dns: [],
});
export const clientSubject = (id: string, role: "viewer" | "operator" | "admin"): Subject => ({
  is: "client",
  id,
  role,
  ips: [],
  dns: [],
});

export type TestCa = {
  readonly pair: Pair;
  /** Files of a new certificate. */
  files(subject: Subject, lifetime?: Lifetime): TlsFiles;
};

/** CAs and certificates in a folder of their own. */
export function certificates() {
  const folder = mkdtempSync(join(tmpdir(), "nve-tls-"));
  let made = 0;
  const put = (name: string, text: string): string => {
    const path = join(folder, name);
    writeFileSync(`${path}.new`, text, { mode: 0o600 });
    renameSync(`${path}.new`, path);
    return path;
  };
  const ca = (): TestCa => {
    made += 1;
    const name = `CA ${made}`;
    const pair = makeCa(name, newKey(), valid());
    const caFile = put(`ca-${made}.pem`, pair.certificate.toString());
    return {
      pair,
      files: (subject, lifetime = valid()) => {
        const { certificate, key } = issue(pair, subject, newKey(), lifetime);
        made += 1;
        const pem = key.export({ type: "pkcs8", format: "pem" }).toString();
        return {
          key: put(`${made}.key`, pem),
          certificate: put(`${made}.pem`, certificate.toString()),
          ca: caFile,
        };
      },
    };
  };
  return { folder, ca, put, remove: () => rmSync(folder, { recursive: true, force: true }) };
}
