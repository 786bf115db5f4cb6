import { z } from "zod";
import type { TlsFiles } from "./tls-files.ts";

const path = z.string().regex(/^\/./, "write the file's whole path, from /");

/** `tls: {certificate, key, ca}` of a config. */
export const tlsConfig: z.ZodType<TlsFiles> = z.strictObject({
  certificate: path,
  key: path,
  ca: path,
});

/** `tls` or `insecure: true`, beside other keys: one of them, and only one. */
export const tlsOrInsecure = {
  tls: tlsConfig.optional(),
  insecure: z
    .literal(true, "only `true` can stand here; leave it out where there is `tls`")
    .optional(),
};

/** For `.refine`, with `tlsFault`. */
export const isOneOfBoth = ({ tls, insecure }: { tls?: unknown; insecure?: unknown }): boolean =>
  (tls === undefined) !== (insecure === undefined);

export const tlsFault = {
  error:
    "say `tls: { certificate, key, ca }` (docs/pki.md), or `insecure: true` for plain TCP on a network that only NVEs and administrators reach: one of them",
  when: ({ value }: { value: unknown }) => typeof value === "object" && value !== null,
};
