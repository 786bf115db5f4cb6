import { checked } from "@nve/program";
import { isOneOfBoth, tlsFault, tlsOrInsecure } from "@nve/program/tls-config";
import { OutOfRange } from "@nve/protocol-spec";
import { z } from "zod";
import type { MigrationTimes } from "./authority/migration-row.ts";
import { suspendeds } from "./domain/numbers.ts";
import { DEFAULT_SOCKET } from "./socket.ts";

const socket = z
  .string()
  .regex(/^unix:\/./, 'a socket is written like "unix:/run/split-nve/nva.sock"');

/** `host:port`, `[IPv6]:port`; port 0: any free one. */
const hostPort = z.string().transform(
  checked((text) => {
    const [, port] = /^(?:\[[0-9A-Fa-f:.]+\]|[^:/\s[\]]+):(\d{1,5})$/.exec(text) ?? [];
    if (port === undefined || Number(port) > 65_535)
      throw new OutOfRange(`"${text}" is no address like 0.0.0.0:7470 or [::]:7470`);
    return text;
  }),
);

const listen = z
  .strictObject({ address: hostPort.default("0.0.0.0:7470"), ...tlsOrInsecure })
  .refine(isOneOfBoth, tlsFault);

const etcd = z
  .strictObject({
    use: z.literal("etcd"),
    endpoints: z.array(hostPort).min(1, "endpoints: at least one, like 10.0.0.1:2379"),
    prefix: z
      .string()
      .regex(/^\/[!-~]{0,200}[!-.0-~]$/, 'prefix: begins with "/", and does not end with it')
      .default("/split-nve/nva"),
    ...tlsOrInsecure,
    leaseSeconds: z.number().int().min(1).max(60).default(2),
  })
  .refine(isOneOfBoth, {
    ...tlsFault,
    error:
      "say `tls: { certificate, key, ca }` (docs/pki.md), or `insecure: true` for plain TCP on a network that only NVAs and etcd reach: one of them",
  });

const store = z.discriminatedUnion(
  "use",
  [
    z.strictObject({ use: z.literal("memory") }),
    z.strictObject({
      use: z.literal("lmdb"),
      path: z.string().regex(/^\//, "path: write it whole, from /"),
    }),
    etcd,
  ],
  { error: "use: memory, lmdb or etcd" },
);

/** Whole or not. */
const seconds = z.number().min(0).max(3_600);

/** The config file of `nva run`; README.md says what each key is for. */
export const NvaConfig = z
  .strictObject({
    id: z
      .string()
      .regex(/^[A-Za-z0-9._-]{1,64}$/, 'an id is 1 to 64 letters, digits, ".", "_" or "-"')
      .default("nva"),
    listen: listen.optional(),
    socket: socket.default(DEFAULT_SOCKET),
    store,
    /** Where the other replicas reach this one. */
    advertise: hostPort.optional(),
    holdSeconds: z.number().int().min(1).max(86_400).default(120),
    migration: z
      .strictObject({
        holdSeconds: seconds.default(30),
        forwardSeconds: seconds.default(2),
        forwardMostSeconds: seconds.default(60),
        suspended: z.enum(suspendeds).default("deliver"),
      })
      .prefault({}),
    log: z.enum(["trace", "debug", "info", "warn", "error", "silent"]).default("info"),
  })
  .refine(({ store: { use }, listen, advertise }) => use !== "etcd" || (listen && advertise), {
    path: ["advertise"],
    error:
      "with store etcd: say `listen`, and here where the other replicas reach this one, like 10.0.0.1:7470",
  });
export type NvaConfig = z.infer<typeof NvaConfig>;

export const migrationTimesOf = ({ migration }: Pick<NvaConfig, "migration">): MigrationTimes => ({
  holdMs: 1000 * migration.holdSeconds,
  forwardMs: 1000 * migration.forwardSeconds,
  forwardMostMs: 1000 * migration.forwardMostSeconds,
  suspended: migration.suspended,
});
