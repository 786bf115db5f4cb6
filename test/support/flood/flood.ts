import { execFileSync } from "node:child_process";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { concat, uint } from "@nve/protocol-spec";

/** What flood.c changes in a frame each time that it sends it. */
export const Change = { none: 0, someOctets: 1, ecpSequence: 2, noise: 3, cut: 4 } as const;

export type Hostile = { frame: Uint8Array; change: (typeof Change)[keyof typeof Change] };

/** As flood.c prints it: frames that went out, frames that the kernel did not take. */
export type Flooded = { sent: number; refused: number; seconds: number };

export type Flood = {
  /** `flood <interface> <frames per second> <seconds> <file>`. */
  command(port: string, perSecond: number, seconds: number): string[];
  remove(): void;
};

/** Compiles flood.c, and writes down what it shall send in turn, 512 frames at most. @throws without a C compiler */
export function makeFlood(frames: readonly Hostile[]): Flood {
  const folder = mkdtempSync(join(tmpdir(), "flood-"));
  const [program, file] = [join(folder, "flood"), join(folder, "frames")];
  const source = join(import.meta.dirname, "flood.c");
  const { CC = "cc" } = process.env;
  execFileSync(CC, ["-O2", "-Wall", "-Wextra", "-o", program, source]);
  const records = frames.map(({ frame, change }) =>
    concat(uint(2, frame.length), uint(1, change), frame),
  );
  writeFileSync(file, concat(...records));
  return {
    command: (port, perSecond, seconds) => [program, port, `${perSecond}`, `${seconds}`, file],
    remove: () => rmSync(folder, { recursive: true }),
  };
}
