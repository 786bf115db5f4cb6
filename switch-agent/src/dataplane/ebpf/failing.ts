import type { Intent } from "../../nve/intents.ts";
import type { Failed } from "../error.ts";
import { fullIn } from "./tables.ts";

/** Does it for each, and says of which it could not be done. */
export function failing(
  intents: readonly Intent[],
  act: (intent: Intent) => void,
): readonly Failed[] {
  return intents.flatMap((intent) => {
    try {
      act(intent);
      return [];
    } catch (error) {
      const reason = error instanceof Error ? error.message : String(error);
      return [{ intent, reason, ...fullIn(error) }];
    }
  });
}
