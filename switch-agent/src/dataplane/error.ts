import { type Intent, intentKey } from "../nve/intents.ts";

/** `full`: the table that has no room for it, and its size. */
export type Failed = { intent: Intent; reason: string; full?: { table: string; size: number } };

/** Intents that a driver could not make so; all others of the call are so. Asking again is right. */
export class DataplaneError extends Error {
  override readonly name = "DataplaneError";
  readonly failed: readonly Failed[];

  constructor(failed: readonly Failed[], options?: ErrorOptions) {
    const some = failed.slice(0, 3).map(({ intent, reason }) => `${intentKey(intent)}: ${reason}`);
    const more = failed.length > some.length ? [`and ${failed.length - some.length} more`] : [];
    super(["not applied:", ...some, ...more].join("\n  "), options);
    this.failed = failed;
  }
}

/** What a station is told of it: that there is no room, and nothing of VNIs and other switches (H4). */
export function saidOfFull(error: unknown): { said?: string } {
  if (!(error instanceof DataplaneError)) return {};
  const full = error.failed.find((one) => one.full !== undefined)?.full;
  if (full === undefined) return {};
  return { said: `this switch has no room left: its table of ${full.table} holds ${full.size}` };
}
