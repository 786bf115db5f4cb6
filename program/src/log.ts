import { pino } from "pino";

export type Log = import("pino").Logger;

/** JSON lines on standard output. `level`: trace, debug, info, warn, error or silent. */
export function createLog(name: string, level = "info"): Log {
  return pino({ name, level, base: { name } }, pino.destination({ dest: 1, sync: true }));
}
