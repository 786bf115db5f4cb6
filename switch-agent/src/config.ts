import { hostname, networkInterfaces } from "node:os";
import { checked, readConfig } from "@nve/program/config";
import { evbConfig, InterfaceName, lldpConfig } from "@nve/program/edge-config";
import { type IpAddress, NveId, Vid } from "@nve/protocol-spec";
import { allTags, gleanDefaults, MAX_GLEANED } from "@nve/switch-agent/nve";
import { z } from "zod";
import { portBeyondDriver } from "./dataplane/drivers.ts";
import { anyway, nvaConfig, switchDataplaneConfig, twice, vtepConfig } from "./local/config.ts";
import { learningConfig } from "./local/learning.ts";
import {
  checksConfig,
  checksFault,
  policiesConfig,
  portAuthConfig,
  portPolicyConfig,
  withPolicy,
} from "./port/policy-config.ts";
import { DEFAULT_SOCKET } from "./socket.ts";
import { staticVns } from "./static/config.ts";

/** VSIs on one port at most, if the config does not say. */
const MAX_VNICS = 4096;
/** Stations on one port: what its budgets for LLDP and ECP are made for. */
const MAX_STATIONS = 64;
/** IP addresses, prefixes and MACs of one VSI at most, if the config does not say; and the most that it may say. */
const MAX_ADDRESSES = { default: 4096, most: 16_384 };

const vid = z.number().transform(checked(Vid));

const tags = z
  .tuple([vid, vid])
  .refine(([first, last]) => first <= last, "the first tag is greater than the last")
  .refine(([first]) => first >= 2, "tag 1 cannot be lent: stations refuse it; begin with 2");

const port = z
  .strictObject({
    name: z.string().transform(checked(InterfaceName)),
    tags: tags.optional(),
    maxVnics: z.number().int().min(1).max(65_536).default(MAX_VNICS),
    /** With more than one a bridge stands between (H3): each is spoken to at its own address. */
    stations: z.number().int().min(1).max(MAX_STATIONS).optional(),
    /** There: the port speaks no protocol, and these VNs are on it (A11). */
    static: staticVns.optional(),
    /** What is seen in frames is believed (H16); if not said, on ports without protocol. */
    glean: z.boolean().optional(),
    ...checksConfig,
    maxGleaned: z.number().int().min(1).max(65_536).default(MAX_GLEANED),
    maxAddresses: z.number().int().min(1).max(MAX_ADDRESSES.most).optional(),
    /** Who and what may be on it (H26). */
    policy: portPolicyConfig.optional(),
    /** Its stations prove who they are (RFC 8394 Req-11). */
    auth: portAuthConfig.optional(),
  })
  .refine(({ static: vns, policy, auth }) => vns === undefined || (policy ?? auth) === undefined, {
    error: "a port without protocol has no stations: neither policy nor auth goes with static",
  })
  .refine((port) => port.policy !== undefined || checksFault(port) === undefined, {
    error: ({ input }) => checksFault(input as Parameters<typeof checksFault>[0]) ?? "",
    when: anyway,
  })
  .refine((port) => idleBeside(port).length === 0, {
    error: ({ input }) =>
      `a port without protocol has no stations and lends no tags: ${idleBeside(input).join(", ")} would do nothing beside static`,
    when: anyway,
  })
  .transform(({ tags, stations = 1, maxAddresses = MAX_ADDRESSES.default, ...rest }) => ({
    ...rest,
    tags: tags ?? [...allTags],
    stations,
    maxAddresses,
  }));

/** What is said of a port without protocol, and is of stations alone. */
function idleBeside(port: unknown): readonly string[] {
  if (!isRecord(port) || !("static" in port) || port.static === undefined) return [];
  return ["stations", "tags", "maxAddresses", "checkSource", "checkIps"].filter((key) =>
    Object.hasOwn(port, key),
  );
}

const seconds = z
  .number()
  .int()
  .min(1)
  .max(7 * 86_400);

/** How long what was gleaned is believed while nothing is heard, and how much of it a VN has. */
const glean = z
  .strictObject({
    macSeconds: seconds.default(gleanDefaults.macMs / 1000),
    ipSeconds: seconds.default(gleanDefaults.ipMs / 1000),
    maxPerVn: z.number().int().min(1).max(65_536).default(gleanDefaults.maxPerVn),
  })
  .prefault({});

/**
 * The config of a switch agent. Unknown keys are refused, and all faults are named at once.
 * @param interfacesOf names of the interfaces that have an address
 */
export const configSchema = (interfacesOf: (ip: IpAddress) => readonly string[]) =>
  z
    .strictObject({
      nve: z
        .string()
        .default(() => hostname())
        .transform(checked(NveId)),
      vtep: vtepConfig,
      nva: nvaConfig,
      ports: z
        .array(port)
        .min(1, "name one port at least, e.g. [{ name: swp1 }]")
        .refine((ports) => twice(namesOf(ports)).length === 0, {
          error: ({ input }) => `port ${twice(namesOf(input)).join(", ")} is named twice`,
          when: anyway,
        }),
      policies: policiesConfig,
      evb: evbConfig,
      lldp: lldpConfig,
      dataplane: switchDataplaneConfig,
      glean,
      ...learningConfig,
      /** How often what is held is compared with what the NVA has; 0: never. */
      digestSeconds: z.number().int().min(0).max(86_400).default(60),
      stateDir: z
        .string()
        .regex(/^\//, "stateDir is the full path of a folder")
        .default("/var/lib/split-nve/switch-agent"),
      link: z.enum(["packet", "pcap"]).default("packet"),
      socket: z
        .string()
        .regex(/^unix:\/./, 'is no "unix:/path"')
        .default(DEFAULT_SOCKET),
      log: z.enum(["trace", "debug", "info", "warn", "error", "silent"]).default("info"),
    })
    .refine((config) => underlayPorts(config, interfacesOf).length === 0, {
      error: ({ input }) => {
        const names = underlayPorts(input, interfacesOf).join(", ");
        return `port ${names} carries the VTEP: an access port cannot be the underlay`;
      },
      path: ["ports"],
      when: anyway,
    })
    .transform(({ ports, policies, ...rest }, ctx) => {
      const { driver } = rest.dataplane;
      const fault = (message: string, path: PropertyKey[]): void =>
        ctx.addIssue({ code: "custom", message, path });
      if (driver === "bridge" && [rest, ...rest.vns].some(({ learning }) => learning === "pull")) {
        fault("not with driver bridge: it does not tell for whom frames are", ["learning"]);
      }
      return {
        ...rest,
        ports: ports.flatMap((port, at) => {
          const whole = withPolicy(port, policies);
          if (typeof whole === "string") {
            fault(whole, ["ports", at, "policy"]);
            return [];
          }
          for (const [key, why] of portBeyondDriver(driver, whole)) fault(why, ["ports", at, key]);
          return [driver === "bridge" ? { ...whole, checkIps: false } : whole];
        }),
      };
    });

export type Config = z.output<ReturnType<typeof configSchema>>;

/** @throws Refused that names the file and all its faults */
export const readSwitchConfig = (path: string): Config => readConfig(path, configSchema(owners));

function owners(ip: IpAddress): readonly string[] {
  return Object.entries(networkInterfaces()).flatMap(([name, addresses]) =>
    (addresses ?? []).some(({ address }) => address === ip) ? [name] : [],
  );
}

const namesOf = (ports: unknown): unknown[] =>
  Array.isArray(ports) ? ports.flatMap((one) => (isRecord(one) ? [one.name] : [])) : [];

function underlayPorts(
  config: unknown,
  interfacesOf: (ip: IpAddress) => readonly string[],
): unknown[] {
  if (!isRecord(config) || typeof config.vtep !== "string") return [];
  const underlay: readonly unknown[] = interfacesOf(config.vtep as IpAddress);
  return namesOf(config.ports).filter((name) => underlay.includes(name));
}

/** Some object; of these members nothing is known. */
type Loose = { name?: unknown; vtep?: unknown; ports?: unknown };

function isRecord(value: unknown): value is Loose {
  return typeof value === "object" && value !== null;
}
