import { Mac } from "@nve/protocol-spec";
import { QmpGone } from "./errors.ts";
import { isObject } from "./message.ts";
import type { Qmp } from "./qmp.ts";

/** `query-status`. `status` is QAPI's RunState: "running", "paused", "inmigrate", "postmigrate", … */
export type VmStatus = { running: boolean; status: string };

/** @throws QmpRefused, QmpGone */
export async function queryStatus(qmp: Qmp): Promise<VmStatus> {
  const { running, status } = objectOf(await qmp.execute("query-status"), "query-status");
  if (typeof running === "boolean" && typeof status === "string") return { running, status };
  throw strange("query-status");
}

/**
 * `query-migrate`. `status` is QAPI's MigrationStatus: "none", "setup", "active", "pre-switchover", "device",
 * "completed", "failed", "cancelled", … Times in milliseconds.
 */
export type MigrationInfo = {
  status: string;
  totalMs?: number;
  downtimeMs?: number;
  reason?: string;
};

/** Of the outgoing migration, or the incoming one. @throws QmpRefused, QmpGone */
export async function queryMigrate(qmp: Qmp): Promise<MigrationInfo> {
  const info = objectOf(await qmp.execute("query-migrate"), "query-migrate");
  const { status = "none", "total-time": total, downtime, "error-desc": reason } = info;
  if (typeof status !== "string") throw strange("query-migrate");
  return {
    status,
    ...(typeof total === "number" && { totalMs: total }),
    ...(typeof downtime === "number" && { downtimeMs: downtime }),
    ...(typeof reason === "string" && { reason }),
  };
}

/** @param wanted capabilities by QAPI's names: "events", "pause-before-switchover". @throws QmpRefused, QmpGone */
export async function setMigrationCapabilities(
  qmp: Qmp,
  wanted: Readonly<Record<string, boolean>>,
): Promise<void> {
  const capabilities = Object.entries(wanted).map(([capability, state]) => ({ capability, state }));
  await qmp.execute("migrate-set-capabilities", { capabilities });
}

/** A NIC as its guest has set it. `name` is the device's id; without an id, its path in QEMU. */
export type NicFilter = { name: string; mac: Mac };

/** `query-rx-filter`: NICs that tell their MAC (virtio-net). @throws QmpRefused, QmpGone */
export async function queryNics(qmp: Qmp): Promise<NicFilter[]> {
  const nics = await qmp.execute("query-rx-filter");
  if (!Array.isArray(nics)) throw strange("query-rx-filter");
  return nics.map((nic: unknown) => {
    const { name, "main-mac": mac } = objectOf(nic, "query-rx-filter");
    if (typeof name !== "string" || typeof mac !== "string" || !MAC.test(mac)) {
      throw strange("query-rx-filter");
    }
    return { name, mac: Mac(mac) };
  });
}

const MAC = /^([0-9a-f]{2}:){5}[0-9a-f]{2}$/i;

function objectOf(value: unknown, command: string): Record<string, unknown> {
  if (isObject(value)) return value;
  throw strange(command);
}

const strange = (command: string): QmpGone =>
  new QmpGone(`QEMU's answer to ${command} is not what its schema says`);
