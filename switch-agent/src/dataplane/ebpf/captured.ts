import { ip, struct, u16, u32, u64 } from "@nve/linux/bpf";
import { concat, IpAddress, uint, Vid, Vni } from "@nve/protocol-spec";
import type { Captured } from "../capture.ts";
import type { Metered } from "../dataplane.ts";
import type { TraceVerdict } from "../trace.ts";
import { dropReasons, encapsulationOf, type KernelPlace, placeLayout, placeType } from "./maps.ts";

/** How interfaces and meters are called. */
export type CapturedNames = {
  linkOf(ifindex: number): string;
  meterOf(number: number): Metered | undefined;
};

/** `struct captured` of programs/capture.h, without its octets. */
const head = struct({
  at: u64,
  ifindex: u32,
  vni: u32,
  verdict: u32,
  owner: u32,
  copies: u32,
  length: u32,
  vtep: ip,
  to: placeLayout,
  from: u16,
  tagType: u16,
  tci: u16,
  kept: u16,
});
type Head = ReturnType<typeof head.read>;
/** With `zero`, and without what fills up to 8. */
const HEAD_OCTETS = 92;

const camePer = { port: 1, device: 2, underlay: 3 } as const;
/** TC_ACT_*. */
const action = { ok: 0, shot: 2, redirect: 7 } as const;
const noVtep = IpAddress("::");
const ADDRESSES = 12;

/** @returns undefined: a record that is none */
export function readCaptured(record: Uint8Array, names: CapturedNames): Captured | undefined {
  if (record.length < HEAD_OCTETS) return undefined;
  const is = head.read(new DataView(record.buffer, record.byteOffset), 0);
  const frame = record.subarray(HEAD_OCTETS, HEAD_OCTETS + is.kept);
  const owner = is.owner === 0 ? undefined : names.meterOf(is.owner);
  const isTagged = is.from === camePer.port && is.tagType !== 0;
  return {
    atUnixNs: BigInt(is.at) + offset,
    link: names.linkOf(is.ifindex),
    from: fromOf(is),
    ...(is.vni !== 0 && { vni: Vni(is.vni) }),
    ...(owner?.is === "vnic" && { vnic: owner.vnic }),
    octets: isTagged ? withTag(frame, is) : frame.slice(),
    length: is.length + (isTagged ? 4 : 0),
    ...outcomeOf(is),
    ...toOf(is.to, names),
    ...((is.copies & 1) !== 0 && {
      copies: { ports: (is.copies & 0xffff) >> 1, nves: is.copies >>> 16 },
    }),
  };
}

/** From the kernel's monotonic clock to the time of day. */
const offset = BigInt(Date.now()) * 1_000_000n - process.hrtime.bigint();

function fromOf({ from, vtep, tagType, tci }: Head): Captured["from"] {
  if (from === camePer.port) return { is: "port", ...(tagType !== 0 && { tag: tci & 0xfff }) };
  return {
    is: "overlay",
    ...(vtep !== noVtep && { vtep }),
    outer: from === camePer.underlay,
  };
}

/** The kernel keeps it beside the frame. */
const withTag = (frame: Uint8Array, { tagType, tci }: Head): Uint8Array =>
  concat(frame.subarray(0, ADDRESSES), uint(2, tagType), uint(2, tci), frame.subarray(ADDRESSES));

function outcomeOf({ verdict: all, to }: Head): { verdict: TraceVerdict; reason?: string } {
  const reason = dropReasons[(all >>> 8) - 1];
  if (reason !== undefined) {
    return { verdict: (all & 0xff) === action.redirect ? "told" : "dropped", reason };
  }
  if ((all & 0xff) === action.ok) return { verdict: "agent" };
  if ((all & 0xff) === action.shot) return { verdict: "flooded" };
  return { verdict: to.type === 0 ? "answered" : "forwarded" };
}

function toOf(
  { type, ifindex, vid, vtep, encapsulation }: KernelPlace,
  { linkOf }: CapturedNames,
): Pick<Captured, "to"> {
  if (type === placeType.local) {
    return { to: { is: "port", port: linkOf(ifindex), tag: vid === 0 ? 0 : Vid(vid) } };
  }
  if (type !== placeType.remoteV4 && type !== placeType.remoteV6) return {};
  return { to: { is: "nve", vtep, encapsulation: encapsulationOf[encapsulation] ?? "vxlan" } };
}
