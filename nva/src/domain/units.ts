import { OutOfRange } from "@nve/protocol-spec";
import type { PortRange } from "../authority/declared.ts";

// Quantities as people write them, both ways: what `…Text` writes `…` reads.

export function whole(text: string, min: number, max: number): number {
  const n = /^\d{1,10}$/.test(text) ? Number(text) : Number.NaN;
  if (n >= min && n <= max) return n;
  throw new OutOfRange(`"${text}" is not a whole number in ${min}..${max}`);
}

const rates = { kbit: 1, Mbit: 1000, Gbit: 1_000_000 };

/** `100Mbit` (a second), in kbit/s; units of 1000, as `tc` has them. */
export function rateKbps(text: string): number {
  const kbps = quantity(text, rates);
  if (kbps !== undefined && kbps >= 1 && kbps <= 0xffff_ffff) return kbps;
  throw new OutOfRange(`"${text}" is not a rate like 500kbit, 100Mbit or 10Gbit`);
}
export const rateText = (kbps: number): string => quantityText(kbps, rates);

const durations = { ms: 1, s: 1000, min: 60_000, h: 3_600_000 };

/** `180s`, `10min`; in milliseconds. */
export function duration(text: string, minMs: number, maxMs: number): number {
  const ms = quantity(text, durations);
  if (ms === undefined)
    throw new OutOfRange(`"${text}" is not a time like 500ms, 180s, 10min or 1h`);
  if (ms >= minMs && ms <= maxMs) return ms;
  throw new OutOfRange(`${text} is not in ${durationText(minMs)}..${durationText(maxMs)}`);
}
export const durationText = (ms: number): string => quantityText(ms, durations);

function quantity(text: string, units: Readonly<Record<string, number>>): number | undefined {
  const [, digits, unit = ""] = /^(\d{1,10}) ?([A-Za-z]+)$/.exec(text) ?? [];
  const factor = Object.hasOwn(units, unit) ? units[unit] : undefined;
  return factor === undefined ? undefined : Number(digits) * factor;
}

/** In the largest unit that makes it whole; units are in rising order. */
function quantityText(n: number, units: Readonly<Record<string, number>>): string {
  const fitting = Object.entries(units).filter(([, factor], i) => i === 0 || n % factor === 0);
  const [unit, factor] = (n === 0 ? fitting[0] : fitting.at(-1)) ?? ["", 1];
  return `${n / factor}${unit}`;
}

/** `25`, `1000-2000`. */
export function portRange(text: string): PortRange {
  const [from = "", to = from, ...more] = text.split("-");
  const [first, last] = [whole(from, 0, 65_535), whole(to, 0, 65_535)];
  if (more.length === 0 && first <= last) return [first, last];
  throw new OutOfRange(`"${text}" is not a range of ports like 1000-2000`);
}
export const portsText = ([first, last]: PortRange): string | number =>
  first === last ? first : `${first}-${last}`;

// IANA protocol numbers, and EtherTypes.
const protocols = { icmp: 1, tcp: 6, udp: 17, gre: 47, esp: 50, icmpv6: 58, sctp: 132 };
const etherTypes = { ipv4: 0x0800, arp: 0x0806, ipv6: 0x86dd };

export const protocol = (text: string): number => named(text, protocols) ?? whole(text, 1, 255);
export const protocolText = (n: number): string | number => nameOf(n, protocols) ?? n;

export function etherType(text: string): number {
  const n = named(text, etherTypes) ?? (/^0x[0-9a-f]{4}$/i.test(text) ? Number(text) : 0);
  if (n >= 0x600) return n; // below it is a length (802.3)
  throw new OutOfRange(`"${text}" is not arp, ipv4, ipv6 or a number in 0x0600..0xffff`);
}
export const etherTypeText = (n: number): string =>
  nameOf(n, etherTypes) ?? `0x${n.toString(16).padStart(4, "0")}`;

const named = (text: string, names: Readonly<Record<string, number>>): number | undefined =>
  Object.hasOwn(names, text) ? names[text] : undefined;
const nameOf = (n: number, names: Readonly<Record<string, number>>): string | undefined =>
  Object.entries(names).find(([, number]) => number === n)?.[0];
