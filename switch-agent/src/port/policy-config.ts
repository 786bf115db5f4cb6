import { checked, inWords } from "@nve/program/config";
import { StationMac, VnRef } from "@nve/program/ids";
import { prefixesIn } from "@nve/protocol-spec";
import { z } from "zod";
import { MacRange, type PortPolicy } from "./policy.ts";

/** What a policy lists at most of each kind. */
const MAX_LISTED = 4096;

const listOf = <T extends z.ZodType>(one: T) =>
  z.array(one).max(MAX_LISTED, `a policy lists ${MAX_LISTED} at most`);
const count = (max: number) => z.number().int().min(1).max(max).optional();

/** Who and what may be on a port; `maxVnics` and `maxAddresses` as at the port, of which the smaller counts. */
export const policyConfig = z
  .strictObject({
    stations: listOf(z.string().transform(checked(StationMac))).optional(),
    vns: listOf(z.union([z.number(), z.string()]).transform(checked(VnRef))).optional(),
    macs: listOf(z.string().transform(checked(MacRange))).optional(),
    ips: listOf(z.string().transform(checked(prefixesIn))).optional(),
    maxVnics: count(65_536),
    maxAddresses: count(16_384),
    maxMacs: count(1_048_576),
    maxIps: count(1_048_576),
  })
  .transform(({ stations, vns, ips, ...rest }) => ({
    ...rest,
    stations: stations && new Set(stations),
    vns: vns && new Set(vns),
    ips: ips?.flat(),
  }));

export type Policy = z.output<typeof policyConfig>;

/** `policies:` by name, to be shared between ports. */
export const policiesConfig = z.record(z.string().min(1).max(64), policyConfig).default({});

/** `ports[].policy:` one of them by its name, or the port's own. */
export const portPolicyConfig = z.unknown().transform((value, ctx): string | Policy => {
  if (typeof value === "string") return value;
  const { success, data, error } = policyConfig.safeParse(value, { error: inWords });
  if (success) return data;
  for (const issue of error.issues) {
    const { path } = issue;
    const unknown = issue.code === "unrecognized_keys" ? issue.keys.join('", "') : undefined;
    const message = unknown === undefined ? issue.message : `unknown key "${unknown}"`;
    ctx.addIssue({ code: "custom", path, message });
  }
  return z.NEVER;
});

/** `ports[].auth:` the stations must prove who they are (RFC 8394 Req-11). */
export const portAuthConfig = z.strictObject({
  keys: z.string().regex(/^\//, "auth.keys is the full path of a key file"),
  required: z.boolean().default(true),
});

type PortOf<P> = { policy?: P; maxVnics: number; maxAddresses: number };

/** A port with the policy that it names, and the smaller of each limit. @returns text: the policy is not there */
export function withPolicy<Port extends PortOf<string | Policy | undefined>>(
  { policy: named, ...port }: Port,
  policies: Readonly<Record<string, Policy>>,
): (Omit<Port, "policy"> & PortOf<PortPolicy>) | string {
  if (named === undefined) return port;
  const policy = typeof named === "string" ? own(policies, named) : named;
  if (policy === undefined) return `there is no policy "${named}" among \`policies\``;
  const { maxVnics = port.maxVnics, maxAddresses = port.maxAddresses, ...rest } = policy;
  return {
    ...port,
    maxVnics: Math.min(port.maxVnics, maxVnics),
    maxAddresses: Math.min(port.maxAddresses, maxAddresses),
    policy: rest,
  };
}

const own = <T>(record: Readonly<Record<string, T>>, key: string): T | undefined =>
  Object.hasOwn(record, key) ? record[key] : undefined;
