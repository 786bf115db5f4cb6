import {
  createHash,
  createPublicKey,
  generateKeyPairSync,
  type KeyObject,
  randomBytes,
  sign,
  X509Certificate,
} from "node:crypto";
import { type Certified, uriOf } from "@nve/program/certified";
import { AsnConvert, OctetString } from "@peculiar/asn1-schema";
import * as x509 from "@peculiar/asn1-x509";

// X.509 version 3 as of RFC 5280: EC P-256 keys, ECDSA with SHA-256.

export type Pair = { certificate: X509Certificate; key: KeyObject };

/** Milliseconds since 1970. */
export type Lifetime = { from: number; to: number };

/** Whom a certificate is for, and the host names at which it may be reached beside its `ips`. */
export type Subject = Certified & { dns: readonly string[] };

const ECDSA_SHA256 = "1.2.840.10045.4.3.2";
const COMMON_NAME = "2.5.4.3";

export const newKey = (): KeyObject =>
  generateKeyPairSync("ec", { namedCurve: "P-256" }).privateKey;

/** A CA that signs end certificates, no other CAs. */
export function makeCa(name: string, key: KeyObject, lifetime: Lifetime): Pair {
  const publicKey = createPublicKey(key);
  const { keyCertSign, cRLSign } = x509.KeyUsageFlags;
  const extensions = [
    extension(
      x509.id_ce_basicConstraints,
      new x509.BasicConstraints({ cA: true, pathLenConstraint: 0 }),
    ),
    extension(x509.id_ce_keyUsage, new x509.KeyUsage(keyCertSign | cRLSign)),
    extension(
      x509.id_ce_subjectKeyIdentifier,
      new x509.SubjectKeyIdentifier(keyId(publicKey)),
      false,
    ),
  ];
  const certificate = signed({ name, issuer: name, publicKey, lifetime, extensions }, key);
  return { certificate, key };
}

/** A certificate for one of ours: NVAs and members of etcd are servers and clients, all others clients alone. */
export function issue(ca: Pair, subject: Subject, key: KeyObject, lifetime: Lifetime): Pair {
  const uses = subject.is === "nva" || subject.is === "etcd" ? [x509.id_kp_serverAuth] : [];
  const names = [
    new x509.GeneralName({ uniformResourceIdentifier: uriOf(subject) }),
    ...subject.ips.map((iPAddress) => new x509.GeneralName({ iPAddress })),
    ...subject.dns.map((dNSName) => new x509.GeneralName({ dNSName })),
  ];
  const keyIdentifier = new x509.KeyIdentifier(keyId(createPublicKey(ca.key)));
  const extensions = [
    extension(x509.id_ce_basicConstraints, new x509.BasicConstraints({})),
    extension(x509.id_ce_keyUsage, new x509.KeyUsage(x509.KeyUsageFlags.digitalSignature)),
    extension(
      x509.id_ce_extKeyUsage,
      new x509.ExtendedKeyUsage([...uses, x509.id_kp_clientAuth]),
      false,
    ),
    extension(x509.id_ce_subjectAltName, new x509.SubjectAlternativeName(names), false),
    extension(
      x509.id_ce_authorityKeyIdentifier,
      new x509.AuthorityKeyIdentifier({ keyIdentifier }),
      false,
    ),
  ];
  const publicKey = createPublicKey(key);
  const issuer = commonName(ca.certificate);
  const certificate = signed({ name: subject.id, issuer, publicKey, lifetime, extensions }, ca.key);
  return { certificate, key };
}

export function commonName(certificate: X509Certificate): string {
  const { CN } = certificate.toLegacyObject().subject ?? {};
  return typeof CN === "string" ? CN : "";
}

type Wish = {
  name: string;
  issuer: string;
  publicKey: KeyObject;
  lifetime: Lifetime;
  extensions: x509.Extension[];
};

function signed(wish: Wish, key: KeyObject): X509Certificate {
  const tbsCertificate = new x509.TBSCertificate({
    version: x509.Version.v3,
    serialNumber: octets(serialNumber()),
    signature: ecdsa(),
    issuer: nameOf(wish.issuer),
    validity: new x509.Validity({
      notBefore: new Date(wish.lifetime.from),
      notAfter: new Date(wish.lifetime.to),
    }),
    subject: nameOf(wish.name),
    subjectPublicKeyInfo: publicKeyInfo(wish.publicKey),
    extensions: new x509.Extensions(wish.extensions),
  });
  const signature = sign("sha256", Buffer.from(AsnConvert.serialize(tbsCertificate)), key);
  const certificate = new x509.Certificate({
    tbsCertificate,
    signatureAlgorithm: ecdsa(),
    signatureValue: octets(signature),
  });
  return new X509Certificate(Buffer.from(AsnConvert.serialize(certificate)));
}

/** 126 bits by chance, positive and of 16 octets always (RFC 5280 §4.1.2.2). */
function serialNumber(): Buffer {
  const serial = randomBytes(16);
  serial.writeUInt8((serial.readUInt8(0) & 0x3f) | 0x40, 0);
  return serial;
}

const ecdsa = (): x509.AlgorithmIdentifier =>
  new x509.AlgorithmIdentifier({ algorithm: ECDSA_SHA256 });

function nameOf(text: string): x509.Name {
  const value = new x509.AttributeValue({ utf8String: text });
  return new x509.Name([
    new x509.RelativeDistinguishedName([
      new x509.AttributeTypeAndValue({ type: COMMON_NAME, value }),
    ]),
  ]);
}

function extension(extnID: string, value: unknown, critical = true): x509.Extension {
  const extnValue = new OctetString(AsnConvert.serialize(value));
  return new x509.Extension({ extnID, critical, extnValue });
}

const publicKeyInfo = (key: KeyObject): x509.SubjectPublicKeyInfo =>
  AsnConvert.parse(key.export({ type: "spki", format: "der" }), x509.SubjectPublicKeyInfo);

/** RFC 5280 §4.2.1.2, method 1. */
function keyId(key: KeyObject): ArrayBuffer {
  const bits = Buffer.from(publicKeyInfo(key).subjectPublicKey);
  return octets(createHash("sha1").update(bits).digest());
}

const octets = (bytes: Uint8Array): ArrayBuffer => new Uint8Array(bytes).buffer;
