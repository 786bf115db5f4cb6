import { createPrivateKey, X509Certificate } from "node:crypto";
import { closeSync, fstatSync, openSync, readFileSync } from "node:fs";
import { createSecureContext, type SecureContext } from "node:tls";
import { type Certified, certified } from "./certified.ts";
import { Refused } from "./errors.ts";

/** Files in PEM: whom we are (with what is between us and a CA, if anything), our key, and the CAs that we trust. */
export type TlsFiles = { certificate: string; key: string; ca: string };

/** What stood in the files, found to be usable. */
export type TlsMaterial = {
  context: SecureContext;
  /** For a server that takes it in place of what it has. */
  options: typeof tls13 & { cert: Buffer; key: Buffer; ca: Buffer };
  name: Certified | string;
  notBefore: number;
  /** Milliseconds since 1970. */
  notAfter: number;
  /** Of the files together: whether they are others than before. */
  text: string;
};

const tls13 = { minVersion: "TLSv1.3" } as const;
/** Certificates of a whole chain are some thousand octets. */
const MAX_OCTETS = 256 * 1024;

/** @throws Refused that names the file, and never what stands in it */
export function readTls(files: TlsFiles): TlsMaterial {
  const cert = textOf(files.certificate, "certificate");
  const key = textOf(files.key, "key");
  const ca = textOf(files.ca, "ca");
  const own = certificateIn(cert, files.certificate);
  for (const one of pemsIn(ca, files.ca)) certificateIn(one, files.ca);
  checkKey(own, key, files);
  const options = { ...tls13, cert, key, ca };
  const { subject } = own.toLegacyObject();
  return {
    context: contextOf(options, files),
    options,
    name: certified({ subjectaltname: own.subjectAltName, subject }),
    notBefore: Date.parse(own.validFrom),
    notAfter: Date.parse(own.validTo),
    text: Buffer.concat([cert, key, ca]).toString("latin1"),
  };
}

function textOf(file: string, what: keyof TlsFiles): Buffer {
  let open: number;
  try {
    open = openSync(file, "r");
  } catch (cause) {
    throw new Refused(`tls.${what}: cannot read the file: ${why(cause)}`, { cause });
  }
  try {
    const { mode, size } = fstatSync(open);
    if ((mode & 0o170000) !== 0o100000) throw new Refused(`tls.${what}: ${file} is no file`);
    if (size > MAX_OCTETS) throw new Refused(`tls.${what}: ${file} is too long`);
    if (what === "key" && (mode & 0o077) !== 0)
      throw new Refused(
        `tls.key: ${file} has mode ${(mode & 0o777).toString(8).padStart(4, "0")}: others must not read it, \`chmod 600\` it`,
      );
    return readFileSync(open);
  } finally {
    closeSync(open);
  }
}

function pemsIn(text: Buffer, file: string): Buffer[] {
  const pems = text
    .toString("latin1")
    .match(/-----BEGIN CERTIFICATE-----[^-]*-----END CERTIFICATE-----/g);
  if (pems === null) throw new Refused(`tls: ${file} has no certificate in PEM`);
  return pems.map((pem) => Buffer.from(pem));
}

function certificateIn(text: Buffer, file: string): X509Certificate {
  const [first] = pemsIn(text, file);
  try {
    return new X509Certificate(first ?? "");
  } catch (cause) {
    throw new Refused(`tls: ${file} has a certificate that cannot be read`, { cause });
  }
}

function checkKey(own: X509Certificate, key: Buffer, { certificate, key: file }: TlsFiles): void {
  let fits: boolean;
  try {
    fits = own.checkPrivateKey(createPrivateKey(key));
  } catch (cause) {
    throw new Refused(`tls.key: ${file} has no private key in PEM without a passphrase`, { cause });
  }
  if (!fits) throw new Refused(`tls.key: ${file} is not the key of ${certificate}`);
}

function contextOf(options: TlsMaterial["options"], files: TlsFiles): SecureContext {
  try {
    return createSecureContext(options);
  } catch (cause) {
    throw new Refused(`tls: ${files.certificate} cannot be used: ${why(cause)}`, { cause });
  }
}

const why = (error: unknown): string => (error instanceof Error ? error.message : String(error));
