import type { NveId, VnId } from "@nve/protocol-spec";
import type { Authority } from "./authority.ts";
import { type DeclaredChange, type Vns, vnsWith } from "./catalogue.ts";
import type { Applicant } from "./declared.ts";
import type { Noted } from "./events.ts";
import { called, type Vn } from "./records.ts";

/** In place of who did it, until whoever knows says it (`actedBy` in ../server/events.ts). */
export const somebody = "";

export const nveEvent = (
  action: string,
  nveId: NveId,
  detail?: Readonly<Record<string, unknown>>,
): Noted => ({ actor: `nve:${nveId}`, action, object: nveId, ...(detail && { detail }) });

/** An NVE asked for, or claimed, what a rule forbids. */
export function refusalOf(applicant: Applicant, vn: Vn | undefined, reason: string): Noted {
  const { nveId, vnic, hypervisor, port, addresses } = applicant;
  const [first] = addresses;
  const address = `${vn === undefined ? "?" : called(vn)}/${first?.mac ?? "?"}`;
  return {
    actor: `nve:${nveId}`,
    action: vnic === undefined ? "address.refuse" : "vnic.refuse",
    object: vnic ?? address,
    refused: reason,
    detail: {
      ...(vn !== undefined && { vn: called(vn), vnId: vn.vnId }),
      nve: nveId,
      ...(hypervisor !== undefined && { hypervisor }),
      ...(port !== "" && { port }),
      ...(first !== undefined && { mac: first.mac }),
    },
  };
}

/** What was created, changed ("update") or deleted, with what is different. */
export function declaredEvents(catalogue: Vns, changes: readonly DeclaredChange[]): Noted[] {
  const [old, fresh] = [
    vnsWith(catalogue, changes, "before"),
    vnsWith(catalogue, changes, "after"),
  ];
  return changes.map((change) => {
    const { before, after } = change;
    const verb = before === undefined ? "create" : after === undefined ? "delete" : "update";
    return {
      actor: somebody,
      action: `${change.kind}.${verb}`,
      object: objectOf(after === undefined ? old : fresh, change),
      detail: differenceOf(before?.row, after?.row),
    };
  });
}

/** As in northbound.proto: "tenant/alias" of a VN, "tenant/alias/mac" of a binding, else its key. */
function objectOf(vns: Vns, change: DeclaredChange): string {
  if (change.kind === "vn") {
    const vn = change.after?.row ?? change.before?.row;
    return vn === undefined ? change.key : called(vn);
  }
  if (change.kind !== "binding") return change.key;
  const binding = change.after?.row ?? change.before?.row;
  const vn = binding && vns.vn(binding.vnId);
  return binding === undefined ? change.key : `${vn ? called(vn) : binding.vnId}/${binding.mac}`;
}

/** Longest text of one value in an event. */
const longest = 1_000;

type Difference = Record<string, { before?: unknown; after?: unknown }>;

function differenceOf(before: object | undefined, after: object | undefined): Difference {
  const [old, fresh] = [
    new Map(Object.entries(before ?? {})),
    new Map(Object.entries(after ?? {})),
  ];
  const difference: Difference = {};
  for (const key of new Set([...old.keys(), ...fresh.keys()])) {
    const [was, is] = [JSON.stringify(old.get(key)), JSON.stringify(fresh.get(key))];
    if (was === is) continue;
    difference[key] = {
      ...(was !== undefined && { before: short(was, old.get(key)) }),
      ...(is !== undefined && { after: short(is, fresh.get(key)) }),
    };
  }
  return difference;
}

const short = (text: string, value: unknown): unknown =>
  text.length <= longest ? value : `${text.slice(0, longest)}…`;

/** VNs in which somebody may be allowed no more after these changes. */
export function affected(authority: Authority, changes: readonly DeclaredChange[]): Set<VnId> {
  const found = new Set<VnId>();
  for (const change of changes) {
    switch (change.kind) {
      case "policy":
        for (const { vn } of authority.vns()) found.add(vn.vnId);
        break;
      case "profile":
        for (const vnId of authority.catalogue.vnsOfProfile(change.key)) found.add(vnId);
        break;
      case "vnic":
        for (const row of [change.before?.row, change.after?.row])
          for (const { vnId } of row?.vns ?? []) found.add(vnId);
        break;
      case "vn":
        if (change.after !== undefined) found.add(change.after.row.vnId);
        break;
      default: // tenants let nobody in, bindings are nobody's VNICs
        break;
    }
  }
  return found;
}
