import { Kind, VnicSpec, type VnSpec } from "@nve/protocol-spec/proto/northbound";
import { Admission, DuplicateAction } from "@nve/protocol-spec/proto/types";
import type { Registration } from "./admission.ts";
import { partsOf, vnicOf } from "./book.ts";
import { rule } from "./freezes.ts";

const freezing = (freezeMs: number): Partial<VnSpec> => ({
  duplicates: {
    ...{ moves: rule.moves, windowMs: rule.windowMs, freezeMs },
    action: DuplicateAction.DUPLICATE_ACTION_FREEZE,
  },
});

/** What VNs are put with, beside what all have. */
export const shapes: Readonly<Record<string, Partial<VnSpec>>> = {
  /** As it is created: open, and duplicates are told only. */
  plain: {},
  open: { admission: Admission.ADMISSION_OPEN },
  registered: { admission: Admission.ADMISSION_REGISTERED },
  strict: { admission: Admission.ADMISSION_STRICT },
  "freezes for a time": freezing(rule.freezeMs),
  "freezes until cleared": freezing(0),
};

export const bindingKey = (key: string) => {
  const { vn, mac } = partsOf(key);
  return { kind: Kind.KIND_BINDING, key: `default/vn${vn}/${mac.replace(/..(?=.)/g, "$&:")}` };
};

export const policyName = (nve: string, vn: number): string => `out-${nve}-vn${vn}`;

const vnicKey = (key: string) => ({
  kind: Kind.KIND_VNIC,
  key: vnicOf(key).replace(/^(.{8})(.{4})(.{4})(.{4})/, "$1-$2-$3-$4-"),
});

export const unregistration = (key: string) => ({
  ...{ key: vnicKey(key), force: false },
  expected: undefined,
});

export function registrationOf(key: string, registration: Registration) {
  const { vn, mac } = partsOf(key);
  const all = [Buffer.alloc(4), Buffer.alloc(16)].map((ip) => ({ ip, length: 0 }));
  const own = {
    ...{ mac: Buffer.from(mac, "hex"), ips: [] },
    prefixes: registration === "any IP" ? all : [],
  };
  const value = VnicSpec.create({
    vnic: Buffer.from(vnicOf(key), "hex"),
    vns: [{ vn: `default/vn${vn}`, macs: registration === "no MAC" ? [] : [own] }],
  });
  const resource = {
    ...{ key: vnicKey(key), revision: 0n, note: "" },
    of: { $case: "vnic" as const, value },
  };
  return { resource, expected: undefined };
}
