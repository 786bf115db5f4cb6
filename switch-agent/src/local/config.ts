import { openIcmpEcho } from "@nve/linux";
import { checked } from "@nve/program/config";
import { isOneOfBoth, tlsFault, tlsOrInsecure } from "@nve/program/tls-config";
import { IpAddress, isIpv6, isUnicast, OutOfRange } from "@nve/protocol-spec";
import { encapsulations } from "@nve/switch-agent/nve";
import { z } from "zod";
import { beyondDriver, defaultsOf, drivers } from "../dataplane/drivers.ts";
import type { ProbeOptions } from "../probe/probing.ts";

// What every NVE's config says, on a switch or on a server.

/** `vtep`: the NVE's address in the underlay. */
export const vtepConfig = z.string().transform(checked(Vtep));

/** `nva: {addresses, tls | insecure}`. */
export const nvaConfig = z
  .strictObject({
    addresses: z
      .array(z.string().transform(checked(HostPort)))
      .min(1, "name one address at least")
      .refine((values) => twice(values).length === 0, {
        error: ({ input }) => `${twice(input).join(", ")} is named twice`,
        when: anyway,
      }),
    ...tlsOrInsecure,
  })
  .refine(isOneOfBoth, tlsFault);

export type NvaConfig = z.output<typeof nvaConfig>;

const frames = z.number().int().min(1).max(10_000_000);

/** `{perSecond, burst}` of frames, or `off`; as burst, if not said, two seconds' worth. */
export const floodLimitConfig = z.union(
  [
    z.literal("off"),
    z
      .strictObject({ perSecond: frames, burst: frames.optional() })
      .transform(({ perSecond, burst = 2 * perSecond }) => ({ perSecond, burst })),
  ],
  "is neither off nor { perSecond, burst }, frames from 1 to 10000000",
);

const dataplane = {
  driver: z.literal("ebpf").default("ebpf"),
  attach: z.enum(["auto", "tcx", "clsact"]).default("auto"),
  /** `off`: tunnels by the kernel's tunnel device alone. */
  fastPath: z.enum(["auto", "off"]).default("auto"),
  /** `off`: VNICs, ports and other NVEs are not counted one by one. */
  meters: z.enum(["on", "off"]).default("on"),
  /** What other NVEs are told that we take, best first (A24). */
  encapsulations: z
    .array(z.enum(encapsulations))
    .min(1, "name one encapsulation at least")
    .refine((values) => twice(values).length === 0, {
      error: ({ input }) => `${twice(input).join(", ")} is named twice`,
      when: anyway,
    })
    .default(["vxlan"]),
  /** ARP and ND are answered here, where it is known who has the IP (P12). */
  answer: z.boolean().default(true),
  /** Frames to all that each place of a VN may send (V11). */
  floodLimit: floodLimitConfig.default({ perSecond: 1000, burst: 2000 }),
  /** Echoes to other NVEs, as long as what the VNs send them: black holes are found (A10). */
  probe: z
    .union(
      [
        z.literal("off"),
        z.strictObject({
          intervalSeconds: z.number().int().min(1).max(86_400).default(60),
          perSecond: z.number().int().min(1).max(1000).default(20),
        }),
      ],
      "is neither off nor { intervalSeconds, perSecond }",
    )
    .prefault({}),
  /** Entries at most. */
  tables: z
    .strictObject({
      accesses: entries(4_000_000),
      macs: entries(4_000_000),
      vns: entries(1_000_000),
      flood: entries(4_000_000),
      peers: entries(4_000_000),
      ips: entries(8_000_000),
      sources: entries(4_000_000),
      prefixes: entries(4_000_000),
    })
    .optional(),
};

/** `dataplane: {driver, attach, fastPath, meters, encapsulations, answer, floodLimit, probe, tables}`. */
export const dataplaneConfig = z.strictObject(dataplane).prefault({});

/** The same on a switch, where what forwards may outlive the agent, and other drivers may be chosen. */
export const switchDataplaneConfig = z
  .strictObject({
    ...dataplane,
    driver: z.enum(drivers).default("ebpf"),
    answer: z.boolean().optional(),
    floodLimit: floodLimitConfig.optional(),
    /** What becomes of forwarding when the agent is stopped; if not said, what the driver can. */
    onStop: z.enum(["keep", "remove"]).optional(),
    /** For stations to ask for what they had before the agent began. */
    holdSeconds: z.number().int().min(1).max(3600).default(60),
    /** A bpffs, in place of the one that is found. */
    pins: z.string().regex(/^\//, "pins is the full path of a bpffs").optional(),
  })
  .prefault({})
  .transform((config, ctx) => {
    for (const [key, message] of beyondDriver(config)) {
      ctx.addIssue({ code: "custom", message, path: [key] });
    }
    const { onStop, answer, floodLimit } = defaultsOf(config.driver);
    return {
      ...config,
      onStop: config.onStop ?? onStop,
      answer: config.answer ?? answer,
      floodLimit: config.floodLimit ?? floodLimit,
    };
  });

export type SwitchDataplaneConfig = z.output<typeof switchDataplaneConfig>;
export type DataplaneConfig = z.output<typeof dataplaneConfig>;

function entries(most: number) {
  return z.number().int().min(1).max(most).optional();
}

/** What of it holds in every VN. */
export const vnRulesOf = ({
  answer,
  floodLimit,
}: Pick<DataplaneConfig, "answer" | "floodLimit">) => ({
  ...(answer && { answer: true as const }),
  ...(floodLimit !== "off" && { floodLimit }),
});

/** How other NVEs are probed from here. */
export const probeOf = (
  vtep: IpAddress,
  { probe }: Pick<DataplaneConfig, "probe">,
  random: () => number,
): ProbeOptions | undefined =>
  probe === "off"
    ? undefined
    : {
        intervalMs: probe.intervalSeconds * 1000,
        perSecond: probe.perSecond,
        random,
        open: (hear) => openIcmpEcho(isIpv6(vtep) ? 6 : 4, Math.floor(random() * 0x10000), hear),
      };

/** What is checked though something else is wrong, so that all faults are named at once; `value` may be anything. */
export function anyway({ value }: { value: unknown }): boolean {
  return typeof value === "object" && value !== null;
}

export const twice = (values: unknown): unknown[] =>
  Array.isArray(values) ? [...new Set(values.filter((one, i) => values.indexOf(one) < i))] : [];

function Vtep(text: string): IpAddress {
  const ip = IpAddress(text);
  if (isUnicast(ip)) return ip;
  throw new OutOfRange(`${text} is no address of one host: other NVEs could not send there`);
}

function HostPort(text: string): string {
  const [, port = "0"] = /^(?:\[[0-9a-fA-F:.]+\]|[A-Za-z0-9._-]+):(\d{1,5})$/.exec(text) ?? [];
  if (Number(port) >= 1 && Number(port) <= 65_535) return text;
  throw new OutOfRange(`"${text}" is no address like 192.0.2.10:7470 or [2001:db8::1]:7470`);
}
