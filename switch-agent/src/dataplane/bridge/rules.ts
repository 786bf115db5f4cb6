import type { Filter } from "@nve/linux";
import type { IpAddress } from "@nve/protocol-spec";
import type { PortTag } from "../../nve/vsi.ts";
import type { dropReasons } from "../ebpf/maps.ts";

/** A filter, and what its drops are counted as; absent: it lets pass, or drops what is nobody's business. */
export type Rule = Filter & { reason?: (typeof dropReasons)[number] };

const first = 20_000;
const cTag = 0x8100;
const sTag = 0x88a8;
const controlTypes = [0x88cc, 0x8940]; // LLDP, ECP

const group = { octets: Uint8Array.of(1, 0, 0, 0, 0, 0), mask: Uint8Array.of(1, 0, 0, 0, 0, 0) };
const linkLocal = {
  octets: Uint8Array.of(0x01, 0x80, 0xc2, 0, 0, 0),
  mask: Uint8Array.of(0xff, 0xff, 0xff, 0xff, 0xff, 0xf0),
};

type Said = Omit<Rule, "priority" | "handle">;
/** One a priority, in this order. */
const ordered = (rules: readonly Said[], from: number): Rule[] =>
  rules.map((rule, n) => ({ ...rule, priority: from + n, handle: 1 }));
const drop = (
  protocol: Filter["protocol"],
  reason: NonNullable<Rule["reason"]>,
  match: Filter["match"] = {},
) => ({ protocol, match, drop: true, reason }) as const;

const accessPriority = first + 8;

/**
 * What comes in at an access port, but for the tags that are lent there. Control frames of the link are the agent's,
 * which sees them before; where the port is in the bridge itself, nobody else gets them.
 *
 * @param untagged frames without a tag are a VN's
 */
export function portRules(untagged: boolean): readonly Rule[] {
  const control = (protocol: Filter["protocol"], match: Filter["match"]) =>
    ({ protocol, match, drop: untagged }) as const;
  const priority = { match: { vid: 0 }, handle: 1 } as const;
  const before = [
    drop("all", "bad-source", { source: group }),
    drop(cTag, "link-local", { destination: linkLocal }),
    control("all", { destination: linkLocal }),
    ...controlTypes.map((type) => control(type, {})),
  ];
  const doubles = [cTag, sTag].map((inner) => drop(cTag, "double-tagged", { inner }));
  const after: Said[] = [
    drop(cTag, "no-such-tag"),
    drop(sTag, "no-such-tag"),
    untagged ? { protocol: "all", match: {}, drop: false } : drop("all", "untagged"),
  ];
  return [
    ...ordered(before, first),
    untagged
      ? { protocol: cTag, drop: false, ...priority, priority: accessPriority }
      : { ...drop(cTag, "priority-tagged"), ...priority, priority: first + before.length },
    ...ordered(doubles, first + before.length + 1),
    ...ordered(after, accessPriority + 1),
  ];
}

/** Is it of a tag that is lent? */
export const isAccessRule = ({ priority, match }: Rule): boolean =>
  priority === accessPriority && match.vid !== 0;

/** A tag that is lent at a port. */
export const accessRule = (vid: PortTag): Rule => ({
  priority: accessPriority,
  handle: vid + 1,
  protocol: cTag,
  match: { vid },
  drop: false,
});

const peerPriority = first + 3;

/** What a VN's tunnel gives, but for the NVEs that are believed. */
export const vnRules: readonly Rule[] = [
  ...ordered(
    [
      drop(cTag, "inner-tag"),
      drop(sTag, "inner-tag"),
      drop("all", "link-local", { destination: linkLocal }),
    ],
    first,
  ),
  { ...drop("all", "stranger-vtep"), priority: peerPriority + 1, handle: 1 },
];

/** @param handle 1 … 4095, of this NVE alone in its VN */
export const peerRule = (vtep: IpAddress, handle: number): Rule => ({
  priority: peerPriority,
  handle,
  protocol: "all",
  match: { tunnelSource: vtep },
  drop: false,
});

/** Of all rules of a port. */
export const portPriorities: readonly number[] = Array.from({ length: 12 }, (_, n) => first + n);
