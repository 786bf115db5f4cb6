import { concat, DecodeError } from "@nve/protocol-spec";

/**
 * Netlink messages and attributes (netlink(7), rtnetlink(7)). Unlike all wire formats of this project they are
 * in the host's byte order; addresses and ports inside them are in network order all the same.
 *
 *   octets  4        2      2       4     4         variable
 *         | length | type | flags | seq | port ID | body … |   each message padded to 4 octets
 */
export type Message = { type: number; flags: number; seq: number; body: Uint8Array };

/** An attribute's header is length 2, type 2; its value is padded to 4 octets. */
export type Attributes = ReadonlyMap<number, Uint8Array>;

export function messageOctets({ type, flags, seq, body }: Message): Uint8Array {
  const octets = new Uint8Array(aligned(HEADER + body.length));
  const view = viewOf(octets);
  view.setUint32(0, HEADER + body.length, little);
  view.setUint16(4, type, little);
  view.setUint16(6, flags, little);
  view.setUint32(8, seq, little);
  octets.set(body, HEADER);
  return octets;
}

/** @throws DecodeError when a length does not fit */
export function readMessages(octets: Uint8Array): Message[] {
  const messages: Message[] = [];
  const view = viewOf(octets);
  for (let at = 0; at < octets.length; ) {
    const length = at + HEADER > octets.length ? 0 : view.getUint32(at, little);
    if (length < HEADER || at + length > octets.length)
      throw new DecodeError("short", "netlink message");
    messages.push({
      type: view.getUint16(at + 4, little),
      flags: view.getUint16(at + 6, little),
      seq: view.getUint32(at + 8, little),
      body: octets.subarray(at + HEADER, at + length),
    });
    at += aligned(length);
  }
  return messages;
}

/** Of a repeated attribute the last counts. @throws DecodeError when a length does not fit */
export function readAttributes(octets: Uint8Array): Attributes {
  const attributes = new Map<number, Uint8Array>();
  const view = viewOf(octets);
  for (let at = 0; at + 4 <= octets.length; ) {
    const length = view.getUint16(at, little);
    if (length < 4 || at + length > octets.length)
      throw new DecodeError("short", "netlink attribute");
    attributes.set(
      view.getUint16(at + 2, little) & TYPE_MASK,
      octets.subarray(at + 4, at + length),
    );
    at += aligned(length);
  }
  return attributes;
}

export function attribute(type: number, value: Uint8Array): Uint8Array {
  const octets = new Uint8Array(aligned(4 + value.length));
  const view = viewOf(octets);
  view.setUint16(0, 4 + value.length, little);
  view.setUint16(2, type, little);
  octets.set(value, 4);
  return octets;
}

export const nested = (type: number, ...attributes: readonly Uint8Array[]): Uint8Array =>
  attribute(type | NESTED, concat(...attributes));

/** `n` in `width` octets of the host's order. */
export function hostUint(width: 1 | 2 | 4, n: number): Uint8Array {
  const octets = new Uint8Array(width);
  const view = viewOf(octets);
  if (width === 1) view.setUint8(0, n);
  else if (width === 2) view.setUint16(0, n, little);
  else view.setUint32(0, n, little);
  return octets;
}

/** The value of 1, 2 or 4 octets in host order, signed if asked. @throws DecodeError on another length */
export function readHostUint(octets: Uint8Array): number {
  const view = viewOf(octets);
  if (octets.length === 1) return view.getUint8(0);
  if (octets.length === 2) return view.getUint16(0, little);
  if (octets.length === 4) return view.getUint32(0, little);
  throw new DecodeError("short", `a number of ${octets.length} octets`);
}

/** A field of a fixed header. @throws DecodeError past the end */
export function field(octets: Uint8Array, at: number, width: 1 | 2 | 4): number {
  return readHostUint(octets.subarray(at, at + width));
}

export const signed = (n: number): number => n | 0;

export const cString = (text: string): Uint8Array => concat(utf8.encode(text), Uint8Array.of(0));

export function readCString(octets: Uint8Array): string {
  const end = octets.indexOf(0);
  return new TextDecoder().decode(end < 0 ? octets : octets.subarray(0, end));
}

const HEADER = 16;
const NESTED = 0x8000;
const TYPE_MASK = 0x3fff; // without "nested" and "network byte order"
const utf8 = new TextEncoder();
const little = new Uint8Array(Uint16Array.of(1).buffer)[0] === 1;

const aligned = (n: number): number => (n + 3) & ~3;
const viewOf = (octets: Uint8Array): DataView =>
  new DataView(octets.buffer, octets.byteOffset, octets.byteLength);
