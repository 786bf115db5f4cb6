import { existsSync } from "node:fs";
import { join } from "node:path";
import { readConfig } from "@nve/program/config";
import { type FileVnic, vmFileSchema } from "../vms/file.ts";

/**
 * What a file of the folder says of a domain; undefined: there is none.
 * @throws Refused with its faults
 */
export function fileVnics(folder: string, domain: string): readonly FileVnic[] | undefined {
  if (domain.includes("/") || domain.startsWith(".")) return undefined;
  const path = join(folder, `${domain}.yaml`);
  return existsSync(path) ? readConfig(path, vmFileSchema).vnics : undefined;
}
