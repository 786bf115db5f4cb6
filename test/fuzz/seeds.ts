import {
  type Association,
  type AssociationType,
  addressTlvs,
  announcing,
  arpOctets,
  ciscoAddressTlvs,
  DecodeError,
  decode,
  defaultEvbPolicy,
  dhcp6Octets,
  dhcpOctets,
  EtherType,
  ecpduOctets,
  evbOptionalTlv,
  evbStart,
  evbTlvOctets,
  type Filters,
  frameOctets,
  hashOfSet,
  IpAddress,
  IpPrefix,
  labelTlv,
  lldpduOctets,
  Mac,
  macTlvs,
  managementAddressTlv,
  mtuTlvs,
  nameTlvs,
  ndOctets,
  nonceTlv,
  placeholder,
  prefixTlvs,
  readEcpdu,
  readFrame,
  reasonTlv,
  sealed,
  setTlv,
  Uuid,
  type VdpTlv,
  Vid,
  VnId,
  Vni,
  vdpduOctets,
  vsiIdOf,
  vxlanOctets,
} from "@nve/protocol-spec";
import { capture, captureNames } from "../support/pcap.ts";

// Good inputs for each target: frames of real peers (test/captures), and our own TLVs.

const vsiId = vsiIdOf(Uuid("11111111-2222-4333-8444-555555555555"));
const mac = Mac("02:00:00:00:00:01");
const vn = VnId(10001);
export const manager = new Uint8Array(16);

/** Of all captures, no two alike. */
export const frames = (): Uint8Array[] => {
  const all = captureNames().flatMap((name) => capture(name).map(({ octets }) => octets));
  return [...new Map(all.map((octets) => [octets.join(), octets])).values()];
};

const payloads = (etherType: number): Uint8Array[] =>
  frames().flatMap((octets) => {
    const frame = decode(octets, readFrame);
    return frame.etherType === etherType ? [frame.payload] : [];
  });

export const ecpdus = (): Uint8Array[] => payloads(EtherType.ecp);

const evb = evbStart("station", defaultEvbPolicy).local;

export const lldpdus = (): Uint8Array[] => [
  ...payloads(EtherType.lldp),
  lldpduOctets({
    chassisId: { subtype: 4, octets: Uint8Array.of(2, 0, 0, 0, 0, 1) },
    portId: { subtype: 5, octets: Uint8Array.of(0x65, 0x31) },
    ttl: 120,
    tlvs: [
      { is: "port-description", text: "access port" },
      { is: "system-name", text: "server1" },
      { is: "system-description", text: "split-nve" },
      { is: "system-capabilities", capabilities: 4, enabled: 4 },
      managementAddressTlv(IpAddress("192.0.2.1")),
      managementAddressTlv(IpAddress("2001:db8::1")),
      evbOptionalTlv(evb),
      announcing("addresses", "names"),
      nonceTlv(new Uint8Array(16)),
    ],
  }),
];

export const evbTlvs = (): Uint8Array[] => [evbTlvOctets(evb)];
export const extensions = (): Uint8Array[] => [announcing("addresses", "reasons").octets];

const association = (filters: Filters): Association => ({
  status: { is: "request", suspended: false, migrating: false, code: 0 },
  vsiType: { id: 7, version: 1 },
  vsiId,
  filters,
});

const KINDS: readonly Filters[] = [
  { by: "vid", entries: [{ vid: Vid(10) }, { pcp: 3 }] },
  { by: "mac-vid", entries: [{ mac, vid: Vid(10) }] },
  { by: "group-vid", entries: [{ groupId: vn }] },
  { by: "group-mac-vid", entries: [{ groupId: vn, mac }] },
];

/** Of ours, with each kind of filter and each of our TLVs. */
export const ourVdpdus = (): Uint8Array[] => {
  const types: AssociationType[] = [
    "pre-associate",
    "pre-associate-rr",
    "associate",
    "de-associate",
  ];
  const plain = types.flatMap((type, i): VdpTlv[] => {
    const filters = KINDS[i];
    return filters ? [{ is: "association", type, association: association(filters) }] : [];
  });
  const ip = IpAddress("2001:db8::1");
  const addresses = addressTlvs({
    vsiId,
    entries: [{ vn, mac, ip: IpAddress("10.0.0.1") }, { ip }],
  });
  const others: VdpTlv[] = [
    ...ciscoAddressTlvs({ vsiId, entries: [{ ip: IpAddress("10.0.0.2") }] }),
    ...prefixTlvs({ vsiId, entries: [{ vn, mac, ip: IpPrefix("10.1.0.0/16") }] }),
    ...macTlvs({ vsiId, entries: [{ groupId: vn, mac }] }),
    ...nameTlvs({
      vsiId,
      entries: [
        { placeholder: placeholder(0), name: Uuid("99999999-2222-4333-8444-555555555555") },
      ],
    }),
    ...mtuTlvs({ vsiId, entries: [{ vn, mtu: 1450 }] }),
    labelTlv({ vsiId, hypervisor: "server1", vm: "web" }),
    reasonTlv({ vsiId, code: 2, text: "no tag left" }),
  ];
  const set = (part: number) => setTlv({ vsiId, hash: hashOfSet([addresses]), part, parts: 1 });
  const associate = plain[2] === undefined ? [] : [plain[2]];
  return [
    ...plain.map((tlv) => [tlv]),
    plain,
    [...associate, ...addresses],
    ...others.map((tlv) => [...associate, tlv]),
    [set(1), ...addresses],
    [...associate, set(0)],
    [...associate, ...addresses, ...others],
  ].map((tlvs) => vdpduOctets({ manager, tlvs }));
};

export const vdpdus = (): Uint8Array[] => [
  ...ourVdpdus(),
  ...ecpdus().flatMap((octets) => {
    const ecpdu = good(() => decode(octets, readEcpdu));
    return ecpdu?.op === "request" ? [ecpdu.ulpdu] : [];
  }),
];

function good<T>(read: () => T): T | undefined {
  try {
    return read();
  } catch (error) {
    if (error instanceof DecodeError) return undefined;
    throw error;
  }
}

export const KEY = { id: 1, secret: new Uint8Array(32).fill(7) };
export const CONTEXT = { from: "station", sender: mac, nonce: new Uint8Array(16) } as const;
export const sealedVdpdus = (): Uint8Array[] =>
  ourVdpdus().map((ulpdu, i) => sealed(ulpdu, KEY, i + 1, CONTEXT));

export const ourEcpdus = (): Uint8Array[] =>
  ourVdpdus().map((ulpdu, i) => ecpduOctets({ op: "request", subtype: 1, sequence: i, ulpdu }));

export const arps = (): Uint8Array[] => [
  arpOctets({
    op: "request",
    sender: { mac, ip: IpAddress("10.0.0.1") },
    target: { mac: Mac("00:00:00:00:00:00"), ip: IpAddress("10.0.0.2") },
  }),
];

export const nds = (): Uint8Array[] =>
  (["solicitation", "advertisement"] as const).map((is) =>
    ndOctets({
      is,
      target: IpAddress("2001:db8::1"),
      solicited: is === "advertisement",
      override: false,
      linkLayer: mac,
    }),
  );

export const dhcps = (): Uint8Array[] => [
  dhcpOctets({
    op: "reply",
    transaction: 1,
    client: mac,
    yourIp: IpAddress("10.0.0.1"),
    message: 5,
    leaseSeconds: 3600,
  }),
];

export const dhcp6s = (): Uint8Array[] => [
  dhcp6Octets({
    type: 7,
    transaction: 1,
    addresses: [{ ip: IpAddress("2001:db8::1"), validSeconds: 3600 }],
  }),
];

export const vxlans = (): Uint8Array[] => [
  vxlanOctets({
    vni: Vni(70001),
    frame: {
      destination: mac,
      source: mac,
      tag: { pcp: 0, dei: false, vid: 5 },
      etherType: EtherType.arp,
      payload: arps()[0] ?? new Uint8Array(),
    },
  }),
];

/** VXLAN over UDP over IPv4 and over IPv6. */
export const udps = (): Uint8Array[] => {
  const payload = [...(vxlans()[0] ?? [])];
  const length = payload.length + 8;
  const udp = [0xc0, 0, 0x12, 0xb5, length >> 8, length & 0xff, 0, 0, ...payload];
  const ipv4 = [0x45, 0, 0, length + 20, 0, 0, 0x40, 0, 64, 17, 0, 0, 10, 0, 0, 1, 10, 0, 0, 2];
  const ipv6 = [0x60, 0, 0, 0, 0, length, 17, 64, ...new Array<number>(32).fill(1)];
  return [Uint8Array.from([...ipv4, ...udp]), Uint8Array.from([...ipv6, ...udp])];
};

/** A frame of each payload, from a station. */
export const framed = (etherType: number, all: readonly Uint8Array[]): Uint8Array[] =>
  all.map((payload) =>
    frameOctets({
      destination: Mac("01:80:c2:00:00:00"),
      source: Mac("52:54:00:aa:00:01"),
      etherType,
      payload,
    }),
  );
