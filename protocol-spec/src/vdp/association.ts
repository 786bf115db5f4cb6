import { bits, hexText, type Reader, sameOctets, Writer } from "../bytes.ts";
import { OutOfRange } from "../errors.ts";
import { macFrom, type Uuid, uuidFrom, uuidOctets } from "../ids.ts";
import { ipFrom } from "../ip.ts";
import { associationLength, type Filters, readFilters, writeFilters } from "./filters.ts";

/** TLV types 1 … 4. */
export type AssociationType = "pre-associate" | "pre-associate-rr" | "associate" | "de-associate";

/**
 * Value of a VDP association TLV (802.1Q clause 41; spec/vdp.md 1.2).
 *
 *   octets  1        3             1         1               16       variable
 *         | status | VSI type ID | version | VSI ID format | VSI ID | filter info |
 */
export type Association = {
  status: Status;
  vsiType: { id: number; version: number };
  vsiId: VsiId;
  filters: Filters;
};

/**
 * The status octet (spec/vdp.md 1.3): bit 7 tells a response from a request, and with it the meaning of
 * bits 6 and 5. In a request the error code is not defined: it is kept as read and written back.
 */
export type Status =
  | { is: "request"; suspended: boolean; migrating: boolean; code: number }
  | { is: "response"; keep: boolean; hard: boolean; code: number };

export const VdpError = {
  success: 0,
  invalidFormat: 1,
  insufficientResources: 2,
  managerUnreachable: 3,
  other: 4,
  invalidVidGroupOrMac: 5,
} as const;

/** Formats: 1 IPv4, 2 IPv6, 3 MAC, 4 local, 5 UUID (spec/vdp.md 1.4). 16 octets. */
export type VsiId = { format: number; octets: Uint8Array };

export const VsiIdFormat = { ipv4: 1, ipv6: 2, mac: 3, local: 4, uuid: 5 } as const;

/** @throws DecodeError as {@link readFilters} does, and `short` */
export function readAssociation(r: Reader): Association {
  return {
    status: readStatus(r),
    vsiType: { id: r.uint(3), version: r.uint(1) },
    vsiId: readVsiId(r),
    filters: readFilters(r),
  };
}

/** @throws OutOfRange when a field does not fit, or there are no entries, or more than fit one TLV */
export function associationOctets(association: Association): Uint8Array {
  const { by, entries } = association.filters;
  const w = new Writer(associationLength(by, entries.length));
  writeAssociation(w, association);
  return w.end();
}

/** @throws OutOfRange as {@link associationOctets} */
export function writeAssociation(w: Writer, association: Association): void {
  const { status, vsiType, vsiId, filters } = association;
  writeStatus(w, status);
  w.uint(3, vsiType.id).uint(1, vsiType.version);
  writeVsiId(w, vsiId);
  writeFilters(w, filters);
}

export function readVsiId(r: Reader): VsiId {
  return { format: r.uint(1), octets: r.take(16) };
}

/** @throws OutOfRange */
export function vsiIdOctets(vsiId: VsiId): Uint8Array {
  const w = new Writer(17);
  writeVsiId(w, vsiId);
  return w.end();
}

function writeVsiId(w: Writer, { format, octets }: VsiId): void {
  if (octets.length !== 16) throw new OutOfRange(`a VSI ID has 16 octets, not ${octets.length}`);
  w.uint(1, format).put(octets);
}

/** The VSI ID of a VNIC Name (H5). */
export const vsiIdOf = (uuid: Uuid): VsiId => ({
  format: VsiIdFormat.uuid,
  octets: uuidOctets(uuid),
});

/** The VNIC Name, where the VSI ID is a UUID. */
export const uuidOfVsi = ({ format, octets }: VsiId): Uuid | undefined =>
  format === VsiIdFormat.uuid ? uuidFrom(octets) : undefined;

export const sameVsi = (a: VsiId, b: VsiId): boolean =>
  a.format === b.format && sameOctets(a.octets, b.octets);

/** For people and as a key: equal for equal VSI IDs only. One that is not as its format says is `format:hex`. */
export function vsiIdText({ format, octets }: VsiId): string {
  const hex = hexText(octets);
  switch (format) {
    case VsiIdFormat.ipv4:
      if (hex.startsWith(`${"0".repeat(20)}ffff`)) return ipFrom(octets.subarray(12));
      break;
    case VsiIdFormat.ipv6:
      return ipFrom(octets);
    case VsiIdFormat.mac:
      if (hex.startsWith("0".repeat(20))) return macFrom(octets.subarray(10));
      break;
    case VsiIdFormat.uuid:
      return uuidFrom(octets);
  }
  return `${format}:${hex}`;
}

/** Bit 8 is reserved: written 0, read past. */
function readStatus(r: Reader): Status {
  const octet = r.uint(1);
  const [bit6, bit5, code] = [(octet & 0x20) !== 0, (octet & 0x10) !== 0, octet & 0x0f];
  return (octet & 0x40) === 0
    ? { is: "request", suspended: bit6, migrating: bit5, code }
    : { is: "response", keep: bit6, hard: bit5, code };
}

function writeStatus(w: Writer, status: Status): void {
  const response = status.is === "response";
  const bit6 = response ? status.keep : status.suspended;
  const bit5 = response ? status.hard : status.migrating;
  const flags = (response ? 0x40 : 0) | (bit6 ? 0x20 : 0) | (bit5 ? 0x10 : 0);
  w.uint(1, flags | bits(4, status.code));
}
