import { spawnSync } from "node:child_process";
import { accessSync, constants, existsSync } from "node:fs";
import { delimiter, join, resolve } from "node:path";
import { Refused } from "@nve/program/errors";

export const QEMU = "qemu-system-x86_64";
const root = resolve(import.meta.dirname, "../../..");
/** Debian's kernel and the modules of it that guests need, as scripts/guest-kernel.mjs leaves them. */
export const guestKernel = join(root, ".cache/guest-kernel");

/** Why no guest can be started here, in a sentence with what mends it; undefined: one can. */
export function noGuest(): string | undefined {
  return noQemu() ?? (existsSync(guestKernel) ? undefined : noKernel);
}

export const noKernel = "no kernel for the guest: node scripts/guest-kernel.mjs";

export function noQemu(): string | undefined {
  if (isOnPath(QEMU) && existsSync("/bin/busybox")) return undefined;
  return "no QEMU: apt-get install qemu-system-x86 busybox-static";
}

/** Takes the kernel from Debian's package server where it is not here yet. @throws Refused with why it cannot be had */
export function getGuestKernel(): void {
  if (existsSync(guestKernel)) return;
  if (process.env["NVE_NO_APT"] === "1") throw new Refused(noKernel);
  const script = join(root, "scripts/guest-kernel.mjs");
  const { status, stderr } = spawnSync(process.execPath, [script], { encoding: "utf8" });
  if (status !== 0) throw new Refused(`no kernel for the guest: ${reasonIn(stderr)}`);
}

const reasonIn = (stderr: string): string =>
  /^\w*Error: (.*)$/m.exec(stderr)?.[1] ?? (stderr.trim().split("\n")[0] || "it cannot be had");

/** Whether a program can be started by its name. */
export const isOnPath = (program: string): boolean =>
  (process.env["PATH"] ?? "").split(delimiter).some((folder) => {
    try {
      accessSync(join(folder, program), constants.X_OK);
      return true;
    } catch {
      return false;
    }
  });
