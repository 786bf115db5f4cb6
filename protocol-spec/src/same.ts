import { sameOctets } from "./bytes.ts";

/** Whether two plain values (numbers, texts, octets, arrays and records of them) are equal in all parts. */
export function same(a: unknown, b: unknown): boolean {
  if (Object.is(a, b)) return true;
  if (typeof a !== "object" || typeof b !== "object" || a === null || b === null) return false;
  if (a instanceof Uint8Array || b instanceof Uint8Array) {
    return a instanceof Uint8Array && b instanceof Uint8Array && sameOctets(a, b);
  }
  const left = Object.entries(a);
  const right = new Map(Object.entries(b));
  return (
    left.length === right.size && left.every(([k, v]) => right.has(k) && same(v, right.get(k)))
  );
}
