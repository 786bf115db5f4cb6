import { type Intent, intentKey } from "../../nve/intents.ts";

/**
 * What of an intent this driver cannot make so. "refused": without it more would pass than may, or what others send to
 * all would never come here.
 */
export type Unsupported = { refused: readonly string[]; ignored: readonly string[] };

export function unsupported(intent: Intent): Unsupported {
  switch (intent.is) {
    case "vn": {
      const { acl, qos, answer, floodLimit, group, askUnknown, suspended } = intent;
      return {
        refused: named({ acl: acl !== undefined && acl.length > 0, qos, group }),
        ignored: named({ answer, floodLimit, askUnknown, suspended }),
      };
    }
    case "access": {
      const { checkIps, floodLimit, glean } = intent;
      return { refused: named({ checkIps }), ignored: named({ floodLimit, glean }) };
    }
    case "mac": {
      const { at, moved } = intent;
      const other = at.is === "remote" && at.encapsulation !== undefined;
      return { refused: named({ encapsulation: other }), ignored: named({ moved }) };
    }
  }
}

const named = (flags: Record<string, unknown>): string[] =>
  Object.entries(flags).flatMap(([name, is]) => (is ? [name] : []));

/** Of a refusal. */
export const sayRefused = (intent: Intent, what: readonly string[]): string =>
  `driver bridge cannot do ${what.join(", ")} (${intentKey(intent)})`;
