import { defaultEvbPolicy, IpAddress, OutOfRange } from "@nve/protocol-spec";
import { z } from "zod";
import { checked } from "./config.ts";

// What both agents' configs say of an interface that speaks LLDP, EVB and ECP.

/** Linux takes any 15 octets without `/` and white space (IFNAMSIZ); `.` and `..` are not allowed. */
export function InterfaceName(text: string): string {
  if (/^[^\s/:]{1,15}$/.test(text) && text !== "." && text !== "..") return text;
  throw new OutOfRange(`"${text}" is not the name of a network interface`);
}

/** A whole number in a range, in the words that the ids use. */
export const within = (what: string, min: number, max: number) => {
  const error = `${what} is a whole number, ${min} to ${max}`;
  return z.number({ error }).refine((n) => Number.isInteger(n) && n >= min && n <= max, { error });
};

/** Exponents of 10 µs; lldpad overflows above 27 (spec/vdp.md 4). */
const exponent = (name: "rte" | "rwd" | "rka") =>
  within(`evb.${name} (exponent)`, 0, 27).default(defaultEvbPolicy[name]);

/** `evb: {r, rte, rwd, rka}`: what this side offers. */
export const evbConfig = z
  .strictObject({
    r: within("evb.r (ECP retries)", 0, 7).default(defaultEvbPolicy.r),
    rte: exponent("rte"),
    rwd: exponent("rwd"),
    rka: exponent("rka"),
  })
  .prefault({})
  .transform((times) => ({ ...defaultEvbPolicy, ...times }));

/** `lldp: {managementAddress?}`. */
export const lldpConfig = z
  .strictObject({ managementAddress: z.string().transform(checked(IpAddress)).optional() })
  .prefault({})
  .transform(({ managementAddress: ip }) => (ip === undefined ? {} : { managementAddress: ip }));
