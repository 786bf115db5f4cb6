import grpc from "@grpc/grpc-js";
import { Refused } from "@nve/program/errors";
import { call } from "@nve/program/rpc";
import { OutOfRange } from "@nve/protocol-spec/errors";
import type { NorthboundClient, Resource } from "@nve/protocol-spec/proto/northbound";
import type { Declared, DeclaredOf, Kind, VnPath } from "../domain/domain.ts";
import { vnPath } from "../domain/text.ts";
import { everyPage, vnRef } from "./outside.ts";
import { fromResource, toResource, wireKind } from "./wire.ts";
import { inUsersWords } from "./words.ts";

/** With the revision of its last change. */
export type Revised<K extends Kind = Kind> = {
  value: DeclaredOf<K>;
  revision: bigint;
  /** Why it has no effect yet, or empty. */
  note: string;
};

/** @throws NotFound */
export async function readOne<K extends Kind>(
  nva: NorthboundClient,
  kind: K,
  key: string,
): Promise<Revised<K>> {
  return revised(kind, await call(nva, nva.getResource, { kind: wireKind(kind), key }));
}

export async function readAll<K extends Kind>(
  nva: NorthboundClient,
  kind: K,
  tenant = "",
): Promise<Revised<K>[]> {
  return (await pages(nva, wireKind(kind), tenant)).map((one) => revised(kind, one));
}

/** All that is declared. */
export async function readDeclared(nva: NorthboundClient, tenant = ""): Promise<Declared[]> {
  return (await pages(nva, 0, tenant)).map((one) => readable(() => fromResource(one)));
}

const pages = (nva: NorthboundClient, kind: number, tenant: string): Promise<Resource[]> =>
  everyPage(async (pageToken) => {
    const request = { kind, tenant, pageSize: 1000, pageToken };
    const { resources, nextPageToken } = await call(nva, nva.listResources, request);
    return { rows: resources, nextPageToken };
  });

function revised<K extends Kind>(kind: K, resource: Resource): Revised<K> {
  const declared = readable(() => fromResource(resource));
  if (declared.kind !== kind) throw new Refused(`the NVA answers with a ${declared.kind}`);
  const { revision, note = "" } = resource;
  return { value: declared.value as DeclaredOf<K>, revision, note };
}

/** What the NVA sends and this program cannot read comes from a newer one. */
export function readable<T>(read: () => T): T {
  try {
    return read();
  } catch (error) {
    if (!(error instanceof OutOfRange)) throw error;
    const why = `the NVA says what this program cannot read: is it a newer one? (${error.message})`;
    throw new Refused(why, { cause: error });
  }
}

/** @param key what it is called until now, where that is to change */
export async function put<K extends Kind>(
  nva: NorthboundClient,
  kind: K,
  value: DeclaredOf<K>,
  expected: bigint | undefined,
  key?: string,
): Promise<Revised<K>> {
  const made = toResource({ kind, value } as Declared);
  const resource = key === undefined ? made : { ...made, key: { kind: wireKind(kind), key } };
  try {
    return revised(kind, await call(nva, nva.putResource, { resource, expected }));
  } catch (error) {
    if (!hasStatus(error, grpc.status.INVALID_ARGUMENT)) throw error;
    throw new Refused(inUsersWords(String((error as Refused).message)), { cause: error });
  }
}

/** What the NVA answers when the revision is not the one that was expected. */
export const isAborted = (error: unknown): boolean => hasStatus(error, grpc.status.ABORTED);

export const hasStatus = (error: unknown, code: grpc.status): boolean =>
  error instanceof Refused &&
  typeof error.cause === "object" &&
  error.cause !== null &&
  "code" in error.cause &&
  error.cause.code === code;

/** `tenant/alias` of a VN as an operator names it: VN ID, UUID, alias, or that already. */
export async function vnPathOf(nva: NorthboundClient, text: string): Promise<VnPath> {
  const { tenant, alias } = await call(nva, nva.getVn, vnRef(text));
  return readable(() => vnPath(`${tenant}/${alias}`));
}
