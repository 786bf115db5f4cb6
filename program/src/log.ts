import { performance } from "node:perf_hooks";
import { pino } from "pino";
import { logLimit } from "./log-limit.ts";

export type Log = import("pino").Logger;

/**
 * JSON lines on standard output. `level`: trace, debug, info, warn, error or silent.
 *
 * Who can cause lines from outside does not fill the disk with them: above debug, lines that say the same of the same
 * port are left out beyond 500, and 10 a second. The next that is written says how many, in `leftOut`.
 *
 * @param now milliseconds on a clock that never goes back
 */
export function createLog(
  name: string,
  level = "info",
  to: pino.DestinationStream = pino.destination({ dest: 1, sync: true }),
  now = () => performance.now(),
): Log {
  const leftOutBefore = logLimit(now);
  return pino({ name, level, base: { name }, hooks: { logMethod } }, to);

  function logMethod(this: Log, line: Parameters<pino.LogFn>, write: pino.LogFn, number: number) {
    const [first, second] = line as readonly unknown[];
    const [fields, text] = typeof first === "object" ? [first, second] : [undefined, first];
    const { port } = { ...this.bindings(), ...fields } as { port?: unknown };
    const leftOut = number <= DEBUG ? 0 : leftOutBefore(`${String(text)} ${String(port)}`);
    if (leftOut === 0) write.apply(this, line);
    else if (leftOut !== undefined) write.call(this, { ...fields, leftOut }, text as string);
  }
}

const DEBUG = 20;
