import { hostname } from "node:os";
import { checked } from "@nve/program/config";
import { evbConfig, InterfaceName, lldpConfig, within } from "@nve/program/edge-config";
import { type EvbPolicy, HypervisorId, type IpAddress, OutOfRange } from "@nve/protocol-spec";
import { z } from "zod";
import { type LibvirtConfig, libvirtConfig } from "./libvirt/config.ts";
import { type LocalNveConfig, localNve } from "./local-nve/config.ts";
import { type QemuConfig, qemuConfig } from "./qmp/config.ts";
import { DEFAULT_SOCKET } from "./socket.ts";
import type { VdpSettings } from "./stations/vsi.ts";

export type Config = {
  hypervisor: HypervisorId;
  /** None where the server is its own NVE. */
  uplinks: readonly UplinkConfig[];
  nve?: LocalNveConfig | undefined;
  /** How long an uplink is well before its VNs come back, milliseconds; Infinity: never. */
  failbackMs: number;
  evb: EvbPolicy;
  lldp: { managementAddress?: IpAddress };
  vdp: VdpSettings;
  virtualSwitch: { driver: "ebpf"; attach?: "auto" | "tcx" | "clsact" };
  /** VMs that are followed (docs/vm-events.md). */
  qemu?: QemuConfig | undefined;
  libvirt?: LibvirtConfig | undefined;
  socket: string;
  log: string;
};

export type UplinkConfig = {
  name: string;
  link: "packet" | "pcap";
  /** The path of a key file. */
  auth?: { key: string; required: boolean } | undefined;
};

/** As many as a server has NICs; each VN looks at all of them. */
const MAX_UPLINKS = 8;

const uplink = z.strictObject({
  name: z
    .string({ error: "the name of the NIC towards the switch is missing" })
    .transform(checked(InterfaceName)),
  link: z
    .enum(["packet", "pcap"], { error: "link is packet (the default) or pcap" })
    .default("packet"),
  /** We and the NVE prove to each other who we are (RFC 8394 Req-11). */
  auth: z
    .strictObject({
      key: z.string().regex(/^\//, "auth.key is the full path of a key file"),
      required: z.boolean().default(true),
    })
    .optional(),
});

const vdp = z
  .strictObject({
    manager: z.string().default("").transform(checked(managerId)),
    typeId: within("vdp.typeId", 0, 0xffffff).default(0),
    typeVersion: within("vdp.typeVersion", 0, 255).default(1),
  })
  .prefault({});

const virtualSwitch = z
  .strictObject({
    driver: z.literal("ebpf", { error: "the only driver is ebpf" }).default("ebpf"),
    attach: z
      .enum(["auto", "tcx", "clsact"], { error: "attach is auto, tcx or clsact" })
      .optional(),
  })
  .prefault({});

export const configSchema: z.ZodType<Config> = z
  .strictObject({
    hypervisor: z.string().default(hostname).transform(checked(HypervisorId)),
    uplinks: z
      .array(uplink, { error: "at least the name of one NIC, e.g. [{ name: eth0 }]" })
      .min(1, "name one uplink, e.g. [{ name: eth0 }]")
      .max(MAX_UPLINKS, `${MAX_UPLINKS} uplinks at most`)
      .superRefine((uplinks, ctx) => {
        const names = uplinks.map(({ name }) => name);
        for (const [at, name] of names.entries()) {
          if (names.indexOf(name) < at)
            ctx.addIssue({
              code: "custom",
              message: `uplink ${name} stands here twice`,
              path: [at],
            });
        }
      })
      .optional(),
    nve: localNve.optional(),
    failback: z
      .union([within("failback", 0, 86_400), z.literal("never")], {
        error: "failback is a whole number of seconds, 0 to 86400, or never",
      })
      .default(30),
    evb: evbConfig,
    lldp: lldpConfig,
    vdp,
    virtualSwitch,
    qemu: qemuConfig.optional(),
    libvirt: libvirtConfig.optional(),
    socket: z
      .string()
      .regex(/^(unix:\/.+|[^\s:]+:\d+)$/, "socket is unix:/path/to/socket or host:port")
      .default(DEFAULT_SOCKET),
    log: z
      .enum(["trace", "debug", "info", "warn", "error", "silent"], {
        error: "log is trace, debug, info, warn, error or silent",
      })
      .default("info"),
  })
  .refine((config) => wayOf(config) !== "none", {
    error:
      "at least the name of one NIC, e.g. [{ name: eth0 }]; or nve, on a server that is its own NVE",
    path: ["uplinks"],
    when: anyway,
  })
  .refine((config) => wayOf(config) !== "both", {
    error: "uplinks or nve: a server that is its own NVE asks no switch",
    path: ["nve"],
    when: anyway,
  })
  .transform(({ failback, uplinks = [], virtualSwitch: { driver, attach }, ...rest }) => ({
    ...rest,
    uplinks,
    failbackMs: failback === "never" ? Number.POSITIVE_INFINITY : failback * 1000,
    virtualSwitch: { driver, ...(attach !== undefined && { attach }) },
  }));

/** What is checked though something else is wrong; `value` may be anything. */
function anyway({ value }: { value: unknown }): boolean {
  return typeof value === "object" && value !== null;
}

function wayOf({ uplinks, nve }: { uplinks?: unknown; nve?: unknown }) {
  if (uplinks === undefined) return nve === undefined ? "none" : "nve";
  return nve === undefined ? "uplinks" : "both";
}

/** 32 hex digits (dashes allowed) are the 16 octets; up to 15 letters, digits, `.`, `_`, `-` are padded with zeros. */
function managerId(text: string): Uint8Array {
  const hex = text.replaceAll("-", "");
  if (/^[0-9a-f]{32}$/i.test(hex)) return Uint8Array.from(Buffer.from(hex, "hex"));
  if (!/^[A-Za-z0-9._-]{0,15}$/.test(text)) {
    throw new OutOfRange(`"${text}" is no VSI manager ID: 32 hex digits, or up to 15 letters`);
  }
  const octets = new Uint8Array(16);
  octets.set(new TextEncoder().encode(text));
  return octets;
}
