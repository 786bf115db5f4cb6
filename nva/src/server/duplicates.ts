import { NotFound } from "@nve/program";
import { ipOctets, isSingle, prefixParts } from "@nve/protocol-spec";
import type * as wire from "@nve/protocol-spec/proto/northbound";
import type { Authority } from "../authority/authority.ts";
import { called, type DuplicateRow } from "../authority/records.ts";
import type { VnState } from "../authority/vn-state.ts";
import { fromMac, toMac } from "./convert.ts";
import { actedBy, type Caller } from "./events.ts";
import type { Hub } from "./hub.ts";

type FindVn = (authority: Authority, ref: wire.VnRef | undefined) => VnState;

/** Addresses that several stations have (A19), in the order in which they were found. */
export function listDuplicates(
  authority: Authority,
  { vn }: wire.ListDuplicatesRequest,
  find: FindVn,
): wire.ListDuplicatesResponse {
  const rows = authority.duplicates.list(vn && find(authority, vn).vn.vnId);
  return { duplicates: rows.map(toDuplicate) };
}

/** @throws NotFound where there is nothing to clear */
export async function clearDuplicate(
  { keeper }: Hub,
  request: wire.ClearDuplicateRequest,
  caller: Caller,
  find: FindVn,
): Promise<wire.ClearDuplicateResponse> {
  const mac = fromMac(request.mac);
  const { vn } = await keeper.ask((all) => find(all, request.vn));
  const { result, revision } = await keeper.change(
    actedBy(caller, (all) => all.clearDuplicate(vn.vnId, mac, caller.name)),
  );
  if (result > 0) return { revision: BigInt(revision) };
  throw new NotFound(
    `${mac} is no duplicate in VN ${called(vn)}: \`nva duplicates list\` shows what there is`,
  );
}

const toDuplicate = (row: DuplicateRow): wire.Duplicate => ({
  vnId: row.vnId,
  mac: toMac(row.mac),
  ips:
    row.ip === undefined
      ? []
      : [Buffer.from(ipOctets(isSingle(row.ip) ? row.ip : prefixParts(row.ip).ip))],
  moves: row.moves,
  sinceUnixMs: BigInt(row.sinceUnixMs),
  frozen: row.frozen,
  untilUnixMs: BigInt(row.untilUnixMs),
  sources: [...row.sources],
});
