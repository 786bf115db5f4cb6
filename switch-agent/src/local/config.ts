import { checked } from "@nve/program/config";
import { isOneOfBoth, tlsFault, tlsOrInsecure } from "@nve/program/tls-config";
import { IpAddress, isUnicast, OutOfRange } from "@nve/protocol-spec";
import { z } from "zod";

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

/** `dataplane: {driver, attach, fastPath}`. */
export const dataplaneConfig = z
  .strictObject({
    driver: z.literal("ebpf").default("ebpf"),
    attach: z.enum(["auto", "tcx", "clsact"]).default("auto"),
    /** `off`: tunnels by the kernel's tunnel device alone. */
    fastPath: z.enum(["auto", "off"]).default("auto"),
  })
  .prefault({});

export type DataplaneConfig = z.output<typeof dataplaneConfig>;

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
