import { EtherType, GroupAddress, type Mac, macFrom } from "@nve/protocol-spec";
import type { Losses } from "./link.ts";

/**
 * The frames of one control protocol, as a link takes them from whoever is at the other end (H26): to these group
 * addresses and to the interface's own, untagged or priority-tagged (802.1Q §6.9.1: a frame with VID 0 is untagged),
 * of these lengths. All else of that EtherType is `stray`: it stays in the kernel and is counted.
 */
export type ControlFrames = {
  /** As it stands in the counters: `link.dropped-lldp`. */
  protocol: "lldp" | "ecp";
  etherType: number;
  /** 802.1Q Table 8-1: each begins with 01-80-C2-00-00. */
  groups: readonly Mac[];
  /** Octets from the destination address on, without tag and FCS. */
  octets: readonly [least: number, most: number];
  intake: Intake;
  /** The kernel's buffer, octets: what is beyond the intake waits there, and then is dropped and counted. */
  buffer: number;
};

/** What is handed to JavaScript: no more than `burst` at once, and no more than `perSecond` on average. */
export type Intake = { frames: Rate; octets: Rate };
export type Rate = { burst: number; perSecond: number };

/** Without FCS: 14 octets of header, 1500 of payload. */
const MOST = 1514;

/**
 * LLDP: 64 stations that come up at once send 4 LLDPDUs each (802.1AB §9.2.5.6, txFast); the shortest LLDPDU has
 * chassis ID, port ID and TTL. ECP: 1,000 requests at once, whatever their length; the rate is more than one peer
 * needs that sends an ECPDU every millisecond, and twenty times what is decoded of requests in a second.
 */
export const controlFrames: readonly ControlFrames[] = [
  {
    protocol: "lldp",
    etherType: EtherType.lldp,
    groups: Object.values(GroupAddress),
    octets: [14 + 12, MOST],
    intake: {
      frames: { burst: 256, perSecond: 100 },
      octets: { burst: 256 << 10, perSecond: 64 << 10 },
    },
    buffer: 512 << 10,
  },
  {
    protocol: "ecp",
    etherType: EtherType.ecp,
    groups: [GroupAddress.nearestCustomerBridge],
    octets: [14 + 4, MOST],
    intake: {
      frames: { burst: 1024, perSecond: 2000 },
      octets: { burst: 2 << 20, perSecond: 1 << 20 },
    },
    buffer: 2 << 20,
  },
];

/** Octets 12-13, or what stands in their place behind one tag; undefined for less than a header. */
export function etherTypeOf(frame: Uint8Array): number | undefined {
  return uint16(frame, outerTag(frame) === undefined ? 12 : 16);
}

/**
 * Whether a frame of the protocol's EtherType is one of its `ControlFrames`, as packet-filter.ts has the kernel see it.
 * @param frame with its tag in place
 */
export function isControlFrame(
  { groups, octets: [least, most] }: ControlFrames,
  frame: Uint8Array,
  ownMac: Mac | undefined,
): boolean {
  const destination = macFrom(frame.subarray(0, 6));
  const tag = outerTag(frame);
  const length = frame.length - (tag === undefined ? 0 : 4);
  return (
    (destination === ownMac || groups.includes(destination)) &&
    (tag === undefined || (tag === EtherType.vlan && ((uint16(frame, 14) ?? 1) & 0xfff) === 0)) &&
    length >= least &&
    length <= most
  );
}

/** The two EtherTypes of tags (802.1Q §9.5) that Linux takes out of a frame. */
const TAGS: readonly number[] = [EtherType.vlan, 0x88a8];

function outerTag(frame: Uint8Array): number | undefined {
  const outer = uint16(frame, 12);
  return outer !== undefined && TAGS.includes(outer) ? outer : undefined;
}

function uint16(octets: Uint8Array, at: number): number | undefined {
  const [high, low] = [octets[at], octets[at + 1]];
  return high === undefined || low === undefined ? undefined : high * 256 + low;
}

/** The EtherTypes of which every frame is wanted, and the control protocols. */
export function sorted(wanted: readonly (number | ControlFrames)[]): {
  plain: readonly number[];
  control: readonly ControlFrames[];
} {
  return {
    plain: wanted.filter((one) => typeof one === "number"),
    control: wanted.filter((one) => typeof one !== "number"),
  };
}

/** How they are called in `Link.dropped`. */
export const lossesOf = (protocol: ControlFrames["protocol"], lost: number): Losses =>
  protocol === "lldp" ? { in: lost, droppedLldp: lost } : { in: lost, droppedEcp: lost };
