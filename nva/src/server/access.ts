import { type Role, roles } from "@nve/program/certified";
import type { IpAddress, NveId } from "@nve/protocol-spec";
import {
  type ApplyRequest,
  type DeleteResourceRequest,
  Kind,
  type PutResourceRequest,
  type Resource,
} from "@nve/protocol-spec/proto/northbound";
import type { AdmitRequest } from "@nve/protocol-spec/proto/nve";
import { actorOf, type Identity } from "./identity.ts";

// Who may call what (H26, A19). Pure.

/** What a call needs: an NVE, or a client with a role; or both do. */
type Need = { nve?: true; role?: Role };

/** @returns why not; undefined: it may be called */
export function forbidden(who: Identity, method: string, request: unknown): string | undefined {
  if (who.is === "local" || who.is === "anyone") return undefined;
  if (who.is === "unknown") return `${method} is refused: ${who.reason}`;
  const need = needOf(method, request);
  if (who.is === "client") return lacks(who, need, method);
  if (who.is !== "nve")
    return `${method} is refused: a certificate of ${actorOf(who)} is for neither NVEs nor clients of the NVA`;
  if (need.nve !== true) return `${method} is refused: ${actorOf(who)} is an NVE, no client`;
  const asked = (request as Partial<AdmitRequest> | undefined)?.nveId;
  return asked === undefined ? undefined : notItself(who, asked);
}

/** Of a session or a watch: is it the NVE of its certificate, at VTEPs that the certificate has? @returns why not */
export function notItself(
  who: Identity,
  nveId: NveId | string,
  vteps: readonly IpAddress[] = [],
): string | undefined {
  if (who.is !== "nve") return undefined;
  if (who.id !== nveId)
    return `the certificate is of NVE "${who.id}", and the NVE says that it is ${JSON.stringify(nveId.slice(0, 64))}`;
  const strange = who.ips.length === 0 ? [] : vteps.filter((vtep) => !who.ips.includes(vtep));
  if (strange.length === 0) return undefined;
  return `NVE "${who.id}" says VTEP ${strange.join(", ")}, and its certificate has ${who.ips.join(", ")}: issue it with \`--ip\``;
}

function lacks(
  { id, role: has }: Extract<Identity, { is: "client" }>,
  { role }: Need,
  method: string,
) {
  if (role === undefined) return `${method} is refused: it is for NVEs, and "${id}" is a client`;
  return roles.indexOf(has) >= roles.indexOf(role)
    ? undefined
    : `${method} is refused: "${id}" has the role ${has}, and this needs ${role}`;
}

/** A method that nobody has thought of here is for administrators. */
function needOf(method: string, request: unknown): Need {
  switch (method) {
    case "connect":
    case "watch":
      return { nve: true };
    case "admit":
      return { nve: true, role: "admin" };
    case "lookup":
    case "digests":
      return { nve: true, role: "viewer" };
    case "clearDuplicate":
      return { role: "operator" };
    case "putResource":
      return { role: resourceRole((request as PutResourceRequest).resource) };
    case "deleteResource":
      return deletion(request as DeleteResourceRequest);
    case "apply":
      return application(request as ApplyRequest);
    default:
      return { role: /^(get|list|follow|status)/.test(method) ? "viewer" : "admin" };
  }
}

/** Operators attend to what is attached: VNICs and bindings; what there is to attach to is the administrators'. */
const kindRole = (kind: Kind | undefined): Role =>
  kind === Kind.KIND_VNIC || kind === Kind.KIND_BINDING ? "operator" : "admin";

/** By its key and by what it is: they may differ in a request that is made to deceive. */
function resourceRole(resource: Resource | undefined): Role {
  const kind = resource?.of?.$case;
  const plain = kind === "vnic" || kind === "binding";
  return plain ? kindRole(resource?.key?.kind) : "admin";
}

/** Forced, it may take others with it. */
const deletion = ({ key, force }: DeleteResourceRequest): Need => ({
  role: force ? "admin" : kindRole(key?.kind),
});

function application({ resources, prune, force, dryRun }: ApplyRequest): Need {
  if (dryRun) return { role: "viewer" };
  const plain = resources.every((one) => resourceRole(one) === "operator");
  return { role: plain && !prune && !force ? "operator" : "admin" };
}
