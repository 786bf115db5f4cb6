import { isIP } from "node:net";
import { IpAddress } from "@nve/protocol-spec";

/** What a certificate may say of whom it is for, after `split-nve:` in its names (docs/pki.md). */
export type Certified =
  | { is: "nve" | "nva" | "hypervisor" | "etcd"; id: string; ips: readonly IpAddress[] }
  | { is: "client"; id: string; role: Role; ips: readonly IpAddress[] };

/** Each may do what those before it may. */
export const roles = ["viewer", "operator", "admin"] as const;
export type Role = (typeof roles)[number];

const SCHEME = "split-nve:";
const NAME =
  /^(nve|nva|hypervisor|etcd|client)\/([A-Za-z0-9._-]{1,64})(?:\?role=(viewer|operator|admin))?$/;

/** The names of a certificate, as Node tells them. */
export type Names = { subjectaltname?: string | undefined; subject?: { CN?: unknown } | undefined };

/**
 * Whom a certificate is for: its one URI `split-nve:<kind>/<id>` among the alternative names; where it has none, its
 * common name, if that is such a URI.
 * @returns text: why it names nobody
 */
export function certified({ subjectaltname = "", subject }: Names): Certified | string {
  const names = alternativeNames(subjectaltname);
  const uris = names.flatMap(([type, value]) =>
    type === "URI" && value.startsWith(SCHEME) ? [value] : [],
  );
  const [uri, ...more] = uris.length > 0 ? uris : commonName(subject);
  if (uri === undefined)
    return 'its certificate names no one here: it has no URI like "split-nve:nve/tor1"';
  if (more.length > 0) return "its certificate has several names of split-nve: one it must be";
  const ips = names.flatMap(([type, value]) => (type === "IP Address" ? ipIn(value) : []));
  return (
    nameIn(uri, ips) ??
    `its certificate has the name ${JSON.stringify(uri.slice(0, 100))}, which is not like "split-nve:nve/tor1" or "split-nve:client/alice?role=viewer"`
  );
}

/** The URI of a name, as it stands in a certificate. */
export function uriOf(name: Certified): string {
  return `${SCHEME}${name.is}/${name.id}${name.is === "client" ? `?role=${name.role}` : ""}`;
}

/** A client whose certificate tells no role may look only. */
function nameIn(uri: string, ips: readonly IpAddress[]): Certified | undefined {
  const [, is, id = "", role] = NAME.exec(uri.slice(SCHEME.length)) ?? [];
  if (is === "client") return { is, id, role: roles.find((one) => one === role) ?? "viewer", ips };
  if (is !== "nve" && is !== "nva" && is !== "hypervisor" && is !== "etcd") return undefined;
  return role === undefined ? { is, id, ips } : undefined;
}

function commonName(subject: Names["subject"]): string[] {
  const name = subject?.CN;
  return typeof name === "string" && name.startsWith(SCHEME) ? [name] : [];
}

const ipIn = (text: string): IpAddress[] => (isIP(text) === 0 ? [] : [IpAddress(text)]);

/**
 * Node writes `type:value, type:value`; a value in which something could be mistaken it writes as JSON text. Such a
 * value is none of ours, and it must not be cut where it holds a comma.
 */
function alternativeNames(text: string): [type: string, value: string][] {
  const names: [string, string][] = [];
  for (const [, type = "", quoted, plain] of text.matchAll(
    /([A-Za-z ]+):(?:("(?:[^"\\]|\\.)*")|([^,"]*))(?:, |$)/gy,
  )) {
    if (quoted === undefined && plain !== undefined) names.push([type, plain]);
  }
  return names;
}
