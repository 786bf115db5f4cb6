import { createPrivateKey, type KeyObject, randomBytes, X509Certificate } from "node:crypto";
import { existsSync } from "node:fs";
import { join } from "node:path";
import { certified } from "@nve/program/certified";
import { Refused } from "@nve/program/errors";
import { issue, type Lifetime, makeCa, newKey, type Pair, type Subject } from "./certificate.ts";
import { foldersIn, ownFolder, put, textOf } from "./files.ts";

// A small CA in a folder, for labs and small sites (docs/pki.md):
//
//   ca.pem                       CAs to trust: one, or two while one replaces the other
//   ca.key                       of the one that signs
//   <kind>/<id>/certificate.pem, key.pem, ca.pem      what is brought to its owner

export const kinds = ["nve", "nva", "hypervisor", "etcd", "client"] as const;

export type Issued = {
  /** `<kind>/<id>` */
  name: string;
  subject: Subject;
  certificate: X509Certificate;
  /** The CA that signs has signed it; otherwise the one that is being replaced, or another. */
  isCurrent: boolean;
  files: { certificate: string; key: string; ca: string };
};

/** A folder of a name whose certificate cannot be used; `why` names the file. */
export type Unreadable = { name: string; why: string };

/** By name. */
export type Listed = { issued: readonly Issued[]; unreadable: readonly Unreadable[] };

const DAY_MS = 86_400_000;
/** Clocks differ. */
const EARLY_MS = 300_000;

/** @throws Refused when it cannot be made, or others can look into it */
export const makePkiFolder = (folder: string): void => void ownFolder(folder);

/** Makes the folder and its CA. @throws Refused when there is one, unless `force` */
export function initPki(folder: string, days: number, force: boolean): X509Certificate {
  makePkiFolder(folder);
  if (!force && existsSync(join(folder, "ca.key")))
    throw new Refused(
      `${folder} has a CA already: \`nva pki rotate ${folder}\` replaces it in peace; with --force nothing that it has issued is worth anything`,
    );
  const { certificate, key } = newCa(days);
  put(join(folder, "ca.pem"), certificate.toString());
  put(join(folder, "ca.key"), pemOf(key));
  return certificate;
}

/** @throws Refused when that name has a certificate, unless `force` */
export function issueIn(folder: string, subject: Subject, days: number, force: boolean): Issued {
  const { signing, trusted } = openPki(folder);
  if (/^\.+$/.test(subject.id)) throw new Refused(`"${subject.id}" cannot be the name of a folder`);
  const name = `${subject.is}/${subject.id}`;
  if (!force && existsSync(join(folder, name, "certificate.pem")))
    throw new Refused(
      `${name} has a certificate already: \`nva pki rotate ${folder} ${name}\` replaces it; with --force it is made anew from what is said here`,
    );
  const lifetime = within(signing, days * DAY_MS);
  const key = newKey();
  const { certificate } = issue(signing, subject, key, lifetime);
  const own = ownFolder(join(ownFolder(join(folder, subject.is)), subject.id));
  put(join(own, "ca.pem"), trusted.join(""));
  put(join(own, "key.pem"), pemOf(key));
  put(join(own, "certificate.pem"), certificate.toString());
  return { name, subject, certificate, isCurrent: true, files: filesOf(folder, name) };
}

/** A new key and certificate for what has one, with the same names and the same lifetime. @throws Refused */
export function rotateIn(folder: string, text: string): Issued {
  const old = find(folder, text);
  const days = (validTo(old.certificate) - Date.parse(old.certificate.validFrom)) / DAY_MS;
  return issueIn(folder, old.subject, Math.max(1, Math.round(days)), true);
}

/**
 * The first step of another CA: it is trusted beside the old one, and signs from now on. @throws Refused while an earlier
 * replacement is not finished
 */
export function rotateCa(folder: string): X509Certificate {
  const { signing, trusted } = openPki(folder);
  if (trusted.length > 1)
    throw new Refused(
      `${folder}/ca.pem has ${trusted.length} CAs: finish with \`nva pki rotate ${folder} --finish\` first`,
    );
  const old = signing.certificate;
  const days = (validTo(old) - Date.parse(old.validFrom)) / DAY_MS;
  const { certificate, key } = newCa(Math.round(days));
  trust(folder, [certificate, old]); // before the key: the CA that signs is always trusted
  put(join(folder, "ca.key"), pemOf(key));
  return certificate;
}

/**
 * The last step: the old CA is trusted no more. @throws Refused with the names that it alone has certified, unless `force`
 */
export function finishCa(folder: string, force: boolean): X509Certificate {
  const { signing, trusted } = openPki(folder);
  if (trusted.length === 1)
    throw new Refused(`${folder}/ca.pem has one CA: there is nothing to finish`);
  const { issued, unreadable } = listPki(folder);
  if (unreadable.length > 0 && !force)
    throw new Refused(
      `nobody can say of which CA these are: ${unreadable.map(({ name, why }) => `${name} (${why})`).join(", ")}: \`nva pki issue ${folder} … --force\` them anew first, or leave them out with --force`,
    );
  const left = issued.filter(({ isCurrent }) => !isCurrent);
  if (left.length > 0 && !force)
    throw new Refused(
      `of the old CA are still ${left.map(({ name }) => name).join(", ")}: \`nva pki rotate ${folder} <name>\` them and bring them to their owners first, or leave them out with --force`,
    );
  trust(folder, [signing.certificate]);
  return signing.certificate;
}

/** What has been issued, and what is there in its place that cannot be used. @throws Refused */
export function listPki(folder: string): Listed {
  const { signing } = openPki(folder);
  const issued: Issued[] = [];
  const unreadable: Unreadable[] = [];
  for (const kind of kinds)
    for (const id of namesIn(join(folder, kind)).sort()) {
      const name = `${kind}/${id}`;
      try {
        issued.push(readIssued(folder, name, signing));
      } catch (error) {
        if (!(error instanceof Refused)) throw error;
        unreadable.push({ name, why: error.message });
      }
    }
  return { issued, unreadable };
}

/** The CA that signs, and all that are trusted. @throws Refused */
export function openPki(folder: string): { signing: Pair; trusted: X509Certificate[] } {
  if (!existsSync(join(folder, "ca.key")))
    throw new Refused(`${folder} has no CA: make one with \`nva pki init ${folder}\``);
  ownFolder(folder);
  const trusted = certificatesIn(textOf(folder, "ca.pem"), join(folder, "ca.pem"));
  const key = keyIn(textOf(folder, "ca.key"), folder);
  const certificate = trusted.find((one) => one.checkPrivateKey(key));
  if (certificate === undefined)
    throw new Refused(`${folder}/ca.key is of no certificate in ${folder}/ca.pem`);
  return { signing: { certificate, key }, trusted };
}

export const validTo = (certificate: X509Certificate): number => Date.parse(certificate.validTo);

/** `tor1`, where one kind only has it, or `nve/tor1`. @throws Refused */
export function find(folder: string, text: string): Issued {
  const { issued, unreadable } = listPki(folder);
  const found = issued.filter(({ name, subject }) => name === text || subject.id === text);
  const [first, ...more] = found;
  const lost = unreadable.find(({ name }) => name === text || name.endsWith(`/${text}`));
  if (first === undefined && lost !== undefined)
    throw new Refused(`${lost.why}: \`nva pki issue\` ${lost.name} anew, with --force`);
  if (first === undefined)
    throw new Refused(`${folder} has no certificate of "${text}": \`nva pki list ${folder}\``);
  if (more.length > 0) throw new Refused(`say which: ${found.map(({ name }) => name).join(", ")}`);
  return first;
}

/** @throws Refused that names the file which is missing or cannot be used */
function readIssued(folder: string, name: string, signing: Pair): Issued {
  const files = filesOf(folder, name);
  const [certificate] = certificatesIn(textOf(files.certificate), files.certificate);
  if (certificate === undefined)
    throw new Refused(`${files.certificate} has no certificate in PEM`);
  const { subject } = certificate.toLegacyObject();
  const found = certified({ subjectaltname: certificate.subjectAltName, subject });
  if (typeof found === "string") throw new Refused(`${files.certificate}: ${found}`);
  if (`${found.is}/${found.id}` !== name)
    throw new Refused(`${files.certificate} is of ${found.is}/${found.id}`);
  const dns = [...(certificate.subjectAltName ?? "").matchAll(/DNS:([^,"]+)/g)].map(
    ([, one = ""]) => one,
  );
  const isCurrent = certificate.verify(signing.certificate.publicKey);
  return { name, subject: { ...found, dns }, certificate, isCurrent, files };
}

/** In the folder, and with everything that it has issued. */
function trust(folder: string, cas: readonly X509Certificate[]): void {
  const text = cas.join("");
  put(join(folder, "ca.pem"), text);
  for (const kind of kinds)
    for (const id of namesIn(join(folder, kind))) put(join(folder, kind, id, "ca.pem"), text);
}

function newCa(days: number): Pair {
  const name = `split-nve CA ${randomBytes(4).toString("hex")}`; // two of one name could be taken for each other
  const from = Date.now() - EARLY_MS;
  return makeCa(name, newKey(), { from, to: from + days * DAY_MS });
}

/** No certificate outlives who has signed it. @throws Refused */
function within({ certificate }: Pair, ms: number): Lifetime {
  const from = Date.now() - EARLY_MS;
  if (validTo(certificate) < Date.now())
    throw new Refused(
      `the CA has expired on ${certificate.validTo}: make another with init --force`,
    );
  return { from, to: Math.min(from + ms, validTo(certificate)) };
}

/** @throws Refused */
const namesIn = (folder: string): string[] => (existsSync(folder) ? foldersIn(folder) : []);

function filesOf(folder: string, name: string): Issued["files"] {
  const file = (one: string): string => join(folder, name, one);
  return { certificate: file("certificate.pem"), key: file("key.pem"), ca: file("ca.pem") };
}

/** @throws Refused */
function certificatesIn(text: string, file: string): X509Certificate[] {
  const pems = text.match(/-----BEGIN CERTIFICATE-----[^-]*-----END CERTIFICATE-----/g) ?? [];
  try {
    return pems.map((pem) => new X509Certificate(pem));
  } catch (cause) {
    throw new Refused(`${file} has a certificate that cannot be read`, { cause });
  }
}

function keyIn(text: string, folder: string): KeyObject {
  try {
    return createPrivateKey(text);
  } catch (cause) {
    throw new Refused(`${folder}/ca.key cannot be read as a key`, { cause });
  }
}

const pemOf = (key: KeyObject): string => key.export({ type: "pkcs8", format: "pem" }).toString();
