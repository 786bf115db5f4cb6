import { isIP } from "node:net";

/**
 * What every value of a decoder is, whatever was read: numbers are whole and not negative, addresses are whole ones,
 * VSI IDs have their 16 octets. @throws Error that says where it is not
 */
export function mustBeWellFormed(value: unknown, path = "value"): void {
  if (typeof value === "number") must(Number.isSafeInteger(value) && value >= 0, path, value);
  if (typeof value !== "object" || value === null || value instanceof Uint8Array) return;
  for (const [key, part] of Object.entries(value)) {
    const at = `${path}.${key}`;
    const form = FORMS[key];
    if (form !== undefined && typeof part === "string") must(form(part), at, part);
    if (part instanceof Uint8Array && /vsiId\.octets$|manager$/.test(at))
      must(part.length === 16, at, part.length);
    mustBeWellFormed(part, at);
  }
}

const isMac = (text: string): boolean => /^([0-9a-f]{2}:){5}[0-9a-f]{2}$/.test(text);
const isAddress = (text: string): boolean => isIP(text) !== 0;
const isEither = (text: string): boolean => isMac(text) || isAddress(text);
const FORMS: Readonly<Record<string, (text: string) => boolean>> = {
  mac: isMac,
  client: isMac,
  linkLayer: isMac,
  source: isEither,
  destination: isEither,
  yourIp: isAddress,
  target: isAddress,
};

function must(holds: boolean, path: string, value: unknown): void {
  if (!holds) throw new Error(`${path} is ${value}`);
}
