import { checked, inWords } from "@nve/program/config";
import { StationMac, VnRef } from "@nve/program/ids";
import { prefixesIn } from "@nve/protocol-spec";
import { z } from "zod";
import { floodLimitConfig } from "../local/config.ts";
import { MacRange, type PortPolicy } from "./policy.ts";

/** What a policy lists at most of each kind. */
const MAX_LISTED = 4096;

const listOf = <T extends z.ZodType>(one: T) =>
  z.array(one).max(MAX_LISTED, `a policy lists ${MAX_LISTED} at most`);
const count = (max: number) => z.number().int().min(1).max(max).optional();

/** What of the frames of a port is checked: of the port itself, or of its policy if the port does not say. */
export const checksConfig = {
  /** Frames pass only from MACs that a VNIC of this port has said (P11). */
  checkSource: z.boolean().optional(),
  /** And only from the IPs that were said of the MAC, if any were (M10); if not said, as checkSource. */
  checkIps: z.boolean().optional(),
  /** Frames to all that the port may send, over all its VNs (V11). */
  floodLimit: floodLimitConfig.optional(),
};

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
    ...checksConfig,
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

type Checks = {
  checkSource?: boolean | undefined;
  checkIps?: boolean | undefined;
  floodLimit?: Policy["floodLimit"];
};
type PortOf<P> = {
  policy?: P;
  maxVnics: number;
  maxAddresses: number;
  glean?: boolean | undefined;
} & Checks;

/** What cannot be together. */
export function checksFault({
  glean,
  checkSource,
  checkIps,
}: Pick<PortOf<unknown>, "glean" | "checkSource" | "checkIps">) {
  if (glean && checkSource)
    return "with checkSource nothing unknown is let in, so that glean would learn nothing";
  if (checkIps && !checkSource)
    return "checkIps needs checkSource: whose IPs are checked, his MAC is";
  return undefined;
}

/** A port with the policy that it names, and the smaller of each limit. @returns text: the policy is not there */
export function withPolicy<Port extends PortOf<string | Policy | undefined>>(
  { policy: named, ...port }: Port,
  policies: Readonly<Record<string, Policy>>,
): (Omit<Port, "policy"> & PortOf<PortPolicy>) | string {
  if (named === undefined) return port;
  const policy = typeof named === "string" ? own(policies, named) : named;
  if (policy === undefined) return `there is no policy "${named}" among \`policies\``;
  const { maxVnics = port.maxVnics, maxAddresses = port.maxAddresses, ...more } = policy;
  const { checkSource, checkIps, floodLimit, ...rest } = more;
  const whole = { ...port, ...said({ checkSource, checkIps, floodLimit }), ...said(port) };
  const fault = checksFault(whole);
  if (fault !== undefined) return fault;
  return {
    ...whole,
    maxVnics: Math.min(port.maxVnics, maxVnics),
    maxAddresses: Math.min(port.maxAddresses, maxAddresses),
    policy: rest,
  };
}

const said = <T extends object>(of: T): T =>
  Object.fromEntries(Object.entries(of).filter(([, value]) => value !== undefined)) as T;

const own = <T>(record: Readonly<Record<string, T>>, key: string): T | undefined =>
  Object.hasOwn(record, key) ? record[key] : undefined;
