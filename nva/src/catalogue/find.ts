import { Mac, OutOfRange, Uuid, VnId } from "@nve/protocol-spec";

import {
  type Catalogue,
  type DeclaredChange,
  defaultTenant,
  type Kind,
  type Vns,
} from "../authority/catalogue.ts";
import { bindingKey, called, type Vn, vnKey } from "../authority/records.ts";
import type { Refusal } from "../authority/vn-book.ts";

/** The VN that people call so: VN ID, Name, "tenant/alias", or an alias that is the default tenant's or only one's. */
export function findVn(catalogue: Catalogue, text: string): Vn | Refusal {
  if (/^\d{1,8}$/.test(text)) return vnOf(catalogue, Number(text)) ?? noVn(text);
  if (/^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/i.test(text))
    return vnOf(catalogue, catalogue.book.byName(Uuid(text))) ?? noVn(text);
  return findByAlias(catalogue, text) ?? noVn(text);
}

/** As `findVn`, by alias alone; undefined: there is none. */
export function findByAlias(catalogue: Catalogue, text: string): Vn | Refusal | undefined {
  const { book } = catalogue;
  const [tenant = "", ...rest] = text.split("/");
  const exact = book.byAlias(tenant, rest.join("/")) ?? book.byAlias(defaultTenant, text);
  if (exact !== undefined) return catalogue.vn(exact);
  const [first, ...more] = book.called(text);
  if (more.length === 0) return first;
  return { refused: `several tenants have a VN "${text}": write tenant/${text}, or its VN ID` };
}

const vnOf = (catalogue: Catalogue, id: number | undefined): Vn | undefined =>
  id === undefined || id < 1 || id > 0xffffff ? undefined : catalogue.vn(VnId(id));

const noVn = (text: string): Refusal => ({ refused: `there is no VN "${text}"` });

/** The key of its row, of what people call so; a Refusal when there is nothing. Says nothing of whether it is there. */
export function findKey(catalogue: Catalogue, kind: Kind, text: string): string | Refusal {
  switch (kind) {
    case "tenant":
    case "profile":
    case "policy":
      return text;
    case "vn": {
      const vn = findVn(catalogue, text);
      return "refused" in vn ? vn : vnKey(vn.vnId);
    }
    case "vnic":
      return parsed(() => Uuid(text));
    case "binding": {
      const slash = text.lastIndexOf("/");
      const vn = findVn(catalogue, text.slice(0, Math.max(slash, 0)));
      return "refused" in vn ? vn : parsed(() => bindingKey(vn.vnId, Mac(text.slice(slash + 1))));
    }
  }
}

function parsed(read: () => string): string | Refusal {
  try {
    return read();
  } catch (error) {
    if (error instanceof OutOfRange) return { refused: error.message };
    throw error;
  }
}

/** What people call it; of a change, what it was called when it is gone. */
export function nameOf(vns: Vns, { kind, key, ...change }: DeclaredChange): string {
  switch (kind) {
    case "vn": {
      const entry = change.after ?? change.before;
      return entry === undefined ? key : called(entry.row as Vn);
    }
    case "binding": {
      const vn = vns.vn(VnId(Number.parseInt(key.slice(0, 6), 16)));
      return `${vn === undefined ? Number.parseInt(key.slice(0, 6), 16) : called(vn)}/${key.slice(7)}`;
    }
    default:
      return key;
  }
}

/** In messages: `VN "acme/blue"`. */
export const labelOf = (kind: Kind, name: string): string =>
  kind === "vn" ? `VN "${name}"` : kind === "vnic" ? `VNIC ${name}` : `${kind} "${name}"`;
