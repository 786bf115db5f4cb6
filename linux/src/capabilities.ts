import { readFileSync } from "node:fs";

/** Rights of capabilities(7) that the project needs, with their numbers. */
const NUMBERS = { CAP_NET_ADMIN: 12, CAP_NET_RAW: 13, CAP_SYS_ADMIN: 21, CAP_BPF: 39 } as const;
export type Capability = keyof typeof NUMBERS;

/** Whether this process has the right in effect now. */
export function hasCapability(capability: Capability, status = readStatus()): boolean {
  const effective = /^CapEff:\s*([0-9a-f]+)$/m.exec(status)?.[1] ?? "0";
  return ((BigInt(`0x${effective}`) >> BigInt(NUMBERS[capability])) & 1n) === 1n;
}

const readStatus = (): string => readFileSync("/proc/self/status", "utf8");
