import { hexOctets, hexPairs, hexText } from "./bytes.ts";
import { OutOfRange } from "./errors.ts";

declare const brand: unique symbol;
type Id<Name extends string> = number & { readonly [brand]: Name };
type Text<Name extends string> = string & { readonly [brand]: Name };

/** What a hypervisor says for a virtual network: 1 … 2^24-1, a VDP GroupID with its top octet 0 (H4). */
export type VnId = Id<"VnId">;
export const VnId = id<VnId>("VN ID", 1, 0xffffff);

/** What an NVE encapsulates with, 0 … 2^24-1 (RFC 7348 §5). Never on the wire to a hypervisor (H4). */
export type Vni = Id<"Vni">;
export const Vni = id<Vni>("VNI", 0, 0xffffff);

/** VLAN ID, 1 … 4094: 0 and 4095 are reserved (802.1Q §9.6). "None" is an absent field, not 0. */
export type Vid = Id<"Vid">;
export const Vid = id<Vid>("VID", 1, 4094);

/** Milliseconds on a monotonic clock with an arbitrary start. */
export type Instant = Id<"Instant">;
export const Instant = (ms: number): Instant => ms as Instant;

/** MAC address, written `02:00:00:00:00:0a`: six pairs of lower-case hex digits. */
export type Mac = Text<"Mac">;
export const Mac = (text: string): Mac => {
  const mac = text.toLowerCase().replaceAll("-", ":");
  if (/^[0-9a-f]{2}(:[0-9a-f]{2}){5}$/.test(mac)) return mac as Mac;
  throw new OutOfRange(`"${text}" is not a MAC address like 02:00:00:00:00:0a`);
};

/** Group addresses (broadcast and multicast) have the lowest bit of the first octet set (802 §8.2). */
export const isGroup = (mac: Mac): boolean => (Number.parseInt(mac.slice(0, 2), 16) & 1) === 1;

export const macOctets = (mac: Mac): Uint8Array => hexOctets(mac, 6);

/** @throws OutOfRange when they are not six */
export const macFrom = (octets: Uint8Array): Mac => {
  const text = hexPairs(octets).join(":");
  return octets.length === 6 ? (text as Mac) : Mac(text);
};

/** UUID, lower case (RFC 9562 §4). A VNIC Name (H5) and a VN Name (H4) are UUIDs. */
export type Uuid = Text<"Uuid">;
export const Uuid = (text: string): Uuid => {
  const uuid = text.toLowerCase();
  if (/^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/.test(uuid)) return uuid as Uuid;
  throw new OutOfRange(`"${text}" is not a UUID`);
};

export const uuidOctets = (uuid: Uuid): Uint8Array => hexOctets(uuid, 16);

/** @throws OutOfRange when they are not sixteen */
export const uuidFrom = (octets: Uint8Array): Uuid => {
  const hex = hexText(octets);
  if (octets.length !== 16) return Uuid(hex);
  const middle = `${hex.slice(8, 12)}-${hex.slice(12, 16)}-${hex.slice(16, 20)}`;
  return `${hex.slice(0, 8)}-${middle}-${hex.slice(20)}` as Uuid;
};

/** A stable name of an NVE or a hypervisor in its NV domain: 1 … 64 of letters, digits, `.`, `_`, `-`. */
export type NveId = Text<"NveId">;
export const NveId = name<NveId>("NVE id");
export type HypervisorId = Text<"HypervisorId">;
export const HypervisorId = name<HypervisorId>("hypervisor id");

function id<T extends Id<string>>(what: string, min: number, max: number): (n: number) => T {
  return (n) => {
    if (Number.isInteger(n) && n >= min && n <= max) return n as T;
    throw new OutOfRange(`${what} ${n} is not in ${min}..${max}`);
  };
}

function name<T extends Text<string>>(what: string): (text: string) => T {
  return (text) => {
    if (/^[A-Za-z0-9._-]{1,64}$/.test(text)) return text as T;
    throw new OutOfRange(`${what} "${text}" is not 1 to 64 letters, digits, ".", "_" or "-"`);
  };
}
