/** Octets of a location on the wire, no less than it has: its name, and 16 VTEPs of IPv6. */
export const LOCATION_OCTETS = 400;

/** Octets of a mapping or claim on the wire, no less than it has: what messages are cut by. */
export const octetsOf = (ips: number, locations: number): number =>
  300 + 26 * ips + LOCATION_OCTETS * locations;
