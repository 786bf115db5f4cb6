import type { VnId } from "@nve/protocol-spec";
import type { Authority } from "../authority/authority.ts";
import type { Kind } from "../authority/catalogue.ts";
import { usesVn } from "../authority/nve-state.ts";
import { called } from "../authority/records.ts";

/** Who keeps it from being deleted, and what to do about it. Undefined: nobody. */
export function usersOf(authority: Authority, kind: Kind, key: string): string | undefined {
  const { catalogue } = authority;
  switch (kind) {
    case "tenant":
      return inUse(
        `tenant "${key}" has`,
        vnNames(authority, catalogue.vnsOfTenant(key)),
        "delete them first, or force it: they go with it",
      );
    case "profile":
      return inUse(
        `profile "${key}" is that of`,
        vnNames(authority, catalogue.vnsOfProfile(key)),
        "give them another first, or force it: they go on without one",
      );
    case "vn":
      return vnUsers(authority, key);
    default: // nothing refers to it
      return undefined;
  }
}

/** NVEs with members or claims of a VN. */
export const nvesOf = (authority: Authority, vnId: VnId): string[] =>
  [...authority.nves()]
    .filter((nve) => usesVn(nve, vnId))
    .map(({ row }) => row.location.nveId)
    .sort();

function vnUsers(authority: Authority, key: string): string | undefined {
  const { catalogue } = authority;
  const vn = catalogue.get("vn", key)?.row;
  if (vn === undefined) return undefined;
  const bindings = [...catalogue.bindingsOfVn(vn.vnId)].map((one) => `binding ${one.slice(7)}`);
  const vnics = [...catalogue.vnicsOfVn(vn.vnId)].map((vnic) => `VNIC ${vnic}`);
  const users = [...nvesOf(authority, vn.vnId), ...vnics.sort(), ...bindings.sort()];
  const remedy =
    vnics.length + bindings.length === 0
      ? "detach its members first, or force it"
      : "detach its members and delete what is declared of it first, or force it: that goes with it";
  return inUse(`VN "${vn.alias}" (VN ID ${vn.vnId}) is in use by`, users, remedy);
}

const vnNames = ({ catalogue }: Authority, vnIds: Iterable<VnId>): string[] =>
  [...vnIds]
    .flatMap((vnId) => {
      const vn = catalogue.vn(vnId);
      return vn === undefined ? [] : [`VN ${called(vn)}`];
    })
    .sort();

function inUse(what: string, users: readonly string[], remedy: string): string | undefined {
  if (users.length === 0) return undefined;
  const more = users.length > 20 ? ` and ${users.length - 20} more` : "";
  return `${what} ${users.slice(0, 20).join(", ")}${more}: ${remedy}`;
}
