import { hostname, networkInterfaces } from "node:os";
import { checked, readConfig } from "@nve/program/config";
import { defaultEvbPolicy, IpAddress, NveId, Vid } from "@nve/protocol-spec";
import { allTags } from "@nve/switch-agent/nve";
import { z } from "zod";
import { DEFAULT_SOCKET } from "./socket.ts";

/** VSIs on one port at most, if the config does not say. */
const MAX_VNICS = 4096;

/** The longest interface name of Linux (IFNAMSIZ without its end). */
const NAME_LENGTH = 15;

const vid = z.number().transform(checked(Vid));

const tags = z
  .tuple([vid, vid])
  .refine(([first, last]) => first <= last, "the first tag is greater than the last")
  .refine(([first]) => first >= 2, "tag 1 cannot be lent: stations refuse it; begin with 2");

const port = z.strictObject({
  name: z
    .string()
    .min(1)
    .max(NAME_LENGTH)
    .regex(/^[^\s/]+$/, "is no name of a network interface"),
  tags: tags.default([...allTags]),
  maxVnics: z.number().int().min(1).max(65_536).default(MAX_VNICS),
});

const exponent = z.number().int().min(0).max(27);

const evb = z
  .strictObject({
    r: z.number().int().min(0).max(7).default(defaultEvbPolicy.r),
    rte: exponent.default(defaultEvbPolicy.rte),
    rwd: exponent.default(defaultEvbPolicy.rwd),
    rka: exponent.default(defaultEvbPolicy.rka),
  })
  .prefault({})
  .transform((times) => ({ ...defaultEvbPolicy, ...times }));

const address = z
  .string()
  .regex(/^(\[[0-9a-fA-F:.]+\]|[A-Za-z0-9._-]+):\d{1,5}$/, 'is no "host:port"')
  .refine((text) => {
    const number = Number(text.slice(text.lastIndexOf(":") + 1));
    return number >= 1 && number <= 65_535;
  }, "has no port in 1..65535");

const nva = z.strictObject({
  addresses: z.array(address).min(1).refine(unique, "names an address twice"),
  insecure: z.literal(true, "must be true: TLS to the NVA is not there yet"),
});

const dataplane = z
  .strictObject({
    driver: z.literal("ebpf").default("ebpf"),
    attach: z.enum(["auto", "tcx", "clsact"]).default("auto"),
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
      vtep: z.string().transform(checked(IpAddress)),
      nva,
      ports: z
        .array(port)
        .min(1)
        .superRefine((ports, ctx) => {
          ports.forEach(({ name }, i) => {
            const first = ports.findIndex((other) => other.name === name);
            if (first === i) return;
            ctx.addIssue({
              code: "custom",
              path: [i, "name"],
              message: `port ${name} is named twice`,
            });
          });
        }),
      evb,
      dataplane,
      link: z.enum(["packet", "pcap"]).default("packet"),
      socket: z
        .string()
        .regex(/^unix:\/./, 'is no "unix:/path"')
        .default(DEFAULT_SOCKET),
      log: z.enum(["trace", "debug", "info", "warn", "error", "silent"]).default("info"),
    })
    .superRefine(({ vtep, ports }, ctx) => {
      const underlay = interfacesOf(vtep);
      ports.forEach(({ name }, i) => {
        if (!underlay.includes(name)) return;
        const message = `port ${name} carries the VTEP ${vtep}: an access port cannot be the underlay`;
        ctx.addIssue({ code: "custom", path: ["ports", i, "name"], message });
      });
    });

export type Config = z.output<ReturnType<typeof configSchema>>;

/** @throws Refused that names the file and all its faults */
export const readSwitchConfig = (path: string): Config => readConfig(path, configSchema(owners));

function owners(ip: IpAddress): readonly string[] {
  return Object.entries(networkInterfaces()).flatMap(([name, addresses]) =>
    (addresses ?? []).some(({ address }) => address === ip) ? [name] : [],
  );
}

function unique(values: readonly string[]): boolean {
  return new Set(values).size === values.length;
}
