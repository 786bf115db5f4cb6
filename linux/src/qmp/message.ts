/** What QEMU says, one JSON object on a line (QEMU's docs/interop/qmp-spec). */
export type QmpMessage =
  | { is: "greeting"; version: string }
  | { is: "return"; id: number; value: unknown }
  | { is: "error"; id: number | undefined; errorClass: string; reason: string }
  | ({ is: "event" } & QmpEvent);

/** Something has happened, without being asked for. */
export type QmpEvent = {
  /** QAPI's name: "STOP", "RESUME", "MIGRATION", … */
  name: string;
  /** As the event has it; what is in it has to be checked. */
  data: Readonly<Record<string, unknown>>;
  /** Of QEMU's clock, milliseconds since 1970; undefined where the host could not tell. */
  unixMs: number | undefined;
};

/** @returns a sentence for what is no message of QMP */
export function readQmpMessage(line: string): QmpMessage | string {
  let message: unknown;
  try {
    message = JSON.parse(line);
  } catch {
    return "what came is not JSON"; // also what nests too deeply for JSON.parse
  }
  if (!isObject(message)) return "what came is no JSON object";
  const { QMP: greeting, event, error, id } = message;
  if (isObject(greeting)) return { is: "greeting", version: versionIn(greeting) };
  if (typeof event === "string") return eventIn(event, message);
  if (isObject(error)) {
    const { class: errorClass, desc } = error;
    return {
      is: "error",
      id: typeof id === "number" ? id : undefined,
      errorClass: typeof errorClass === "string" ? errorClass : "GenericError",
      reason: typeof desc === "string" ? desc : "no reason given",
    };
  }
  if ("return" in message && typeof id === "number") {
    return { is: "return", id, value: message["return"] };
  }
  return "what came is no greeting, answer or event";
}

export const isObject = (value: unknown): value is Record<string, unknown> =>
  typeof value === "object" && value !== null && !Array.isArray(value);

function eventIn(name: string, { data, timestamp }: Record<string, unknown>): QmpMessage {
  return {
    is: "event",
    name,
    data: isObject(data) ? data : {},
    unixMs: isObject(timestamp) ? unixMsOf(timestamp) : undefined,
  };
}

function unixMsOf({ seconds, microseconds }: Record<string, unknown>): number | undefined {
  if (typeof seconds !== "number" || typeof microseconds !== "number") return undefined;
  return seconds < 0 ? undefined : seconds * 1000 + Math.floor(microseconds / 1000);
}

function versionIn({ version }: Record<string, unknown>): string {
  const qemu = isObject(version) ? version["qemu"] : undefined;
  if (!isObject(qemu)) return "unknown";
  return [qemu["major"], qemu["minor"], qemu["micro"]].map(String).join(".");
}
