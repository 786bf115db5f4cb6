/** How much of everything, so that tables stay bounded and whoever hits a limit is told which (V10). */
export const limits = {
  vns: 100_000,
  tenants: 10_000,
  profiles: 10_000,
  /** All are asked at each attachment. */
  policies: 1_000,
  vnics: 1_000_000,
  bindings: 200_000,
  /** Of a profile: NVEs compare each frame with them. */
  aclRules: 256,
  patternsPerList: 256,
  /** Of a VNIC in hot standby. */
  standbyPlaces: 8,
  vnsPerVnic: 256,
  macsPerVnic: 1_024,
  resourcesPerApply: 10_000,
  descriptionLength: 1_024,
  nves: 20_000,
  claimsPerNve: 200_000,
  /** Addresses and VNs in one report: it is decided in one piece, and everybody else waits meanwhile. */
  entriesPerReport: 10_000,
  /** Questions in one message. */
  admissions: 256,
  /** Watched VNs, of all NVEs together: some hundred octets each. */
  watchedVns: 2_000_000,
  claimsPerVn: 1_000_000,
  /** Addresses and prefixes of one MAC: what a switch takes of one VNIC at most (its `maxAddresses`). */
  ipsPerClaim: 16_384,
  /** Of all its claims: some hundred octets each. */
  ipsPerNve: 2_000_000,
  /** MACs that have one IP address, of which each is looked at whether the address moves between them (A19). */
  macsPerIp: 16,
  /** NVEs that claim one MAC at a time. */
  claimsPerMac: 64,
  /** Sequences of addresses that nobody claims any more, per VN; the longest unused goes first. */
  historyPerVn: 65_536,
  /** The widest sequence that a source may say: a 32-bit field in EVPN (RFC 7432 §7.7). */
  sequence: 0xffff_ffff,
  textLength: 64,
} as const;

/** How long the sequence of an unclaimed address is remembered, milliseconds. */
export const historyMs = 24 * 3_600_000;
