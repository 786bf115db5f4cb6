import { type Intent, intentKey } from "../nve/intents.ts";

/** Intents that a driver could not make so; all others of the call are so. Asking again is right. */
export class DataplaneError extends Error {
  override readonly name = "DataplaneError";
  readonly failed: readonly { intent: Intent; reason: string }[];

  constructor(failed: readonly { intent: Intent; reason: string }[], options?: ErrorOptions) {
    const some = failed.slice(0, 3).map(({ intent, reason }) => `${intentKey(intent)}: ${reason}`);
    const more = failed.length > some.length ? [`and ${failed.length - some.length} more`] : [];
    super(["not applied:", ...some, ...more].join("\n  "), options);
    this.failed = failed;
  }
}
