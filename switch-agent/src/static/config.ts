import { checked } from "@nve/program/config";
import { Refused } from "@nve/program/errors";
import { StationMac, VnRef } from "@nve/program/ids";
import { prefixesIn, Vid } from "@nve/protocol-spec";
import type { PortTag } from "@nve/switch-agent/nve";
import { z } from "zod";
import type { Binding } from "./binding.ts";

/** Addresses that one binding lists at most: MACs, and IPs of each. */
const MAX_MACS = 1024;
const MAX_IPS = 256;
/** Of all its MACs together: what the NVA takes of one VNIC; more hold up the agent until the NVA gives it up. */
const MAX_IPS_IN_ALL = 16_384;

/** As the config and the state file have it: of one port. */
export type StaticVn = Omit<Binding, "port">;

const macOf = z.strictObject({
  mac: z.string().transform(checked(StationMac)),
  ips: z
    .array(z.string().transform(checked(prefixesIn)))
    .max(MAX_IPS, `a MAC has ${MAX_IPS} IPs at most`)
    .default([])
    .transform((ips) => [...new Set(ips.flat())]),
});

const staticVn = z
  .strictObject({
    vn: z.union([z.number(), z.string()]).transform(checked(VnRef)),
    vlan: z.number().transform(checked(Vid)).optional(),
    macs: z
      .array(macOf)
      .max(MAX_MACS, `a binding lists ${MAX_MACS} MACs at most`)
      .refine((macs) => new Set(macs.map(({ mac }) => mac)).size === macs.length, {
        error: "a MAC is named twice",
      })
      .refine((macs) => macs.reduce((sum, { ips }) => sum + ips.length, 0) <= MAX_IPS_IN_ALL, {
        error: `a binding lists ${MAX_IPS_IN_ALL} IPs at most, of all its MACs together`,
      })
      .default([]),
    strict: z.boolean().default(false),
  })
  .refine(({ strict, macs }) => !strict || macs.length > 0, {
    error: "strict lets nothing in but the MACs that are named: name one at least",
  })
  .transform(({ vlan, ...rest }): StaticVn => ({ ...rest, tag: vlan ?? 0 }));

/** Of one port: a tag has one VN. */
export const taggedVns = z
  .array(staticVn)
  .refine((vns) => twice(vns.map(({ tag }) => tag)) === undefined, {
    error: ({ input }) => `${tagText(twice(tagsIn(input)))} are bound twice`,
  });

/** `static:` of a port. Empty: bindings come through the control API alone. */
export const staticVns = taggedVns.refine(
  (vns) => twice(vns.map(({ vn }) => vn)) === undefined,
  "a VN is bound twice: on one port it has one tag",
);

/** From what came through the control API. @throws Refused with the first fault */
export function staticVnFrom(value: unknown): StaticVn {
  const { success, data, error } = staticVn.safeParse(value);
  if (success) return data;
  throw new Refused(error.issues[0]?.message ?? "it cannot be read");
}

function twice<T>(values: readonly T[]): T | undefined {
  return values.find((value, i) => values.indexOf(value) < i);
}

const tagsIn = (vns: unknown): PortTag[] =>
  Array.isArray(vns) ? vns.map(({ tag }: StaticVn) => tag) : [];

const tagText = (tag: PortTag | undefined): string =>
  tag === 0 ? "untagged frames" : `frames with tag ${tag}`;
