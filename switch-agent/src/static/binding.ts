import { createHash } from "node:crypto";
import type { NveId, Uuid, VnId } from "@nve/protocol-spec";
import { uuidFrom } from "@nve/protocol-spec";
import type { PortTag } from "@nve/switch-agent/nve";
import type { FixedVn } from "../local/fixed-asks.ts";

/** A port, or a VLAN of it, that belongs to a VN because an administrator says so (A11, H15). */
export type Binding = {
  port: string;
  /** 0: frames without a tag. */
  tag: PortTag;
  vn: VnId | Uuid;
  /** Known beforehand; others are gleaned, if the port gleans. */
  macs: FixedVn["macs"];
  /** Frames from other MACs than these are dropped. */
  strict: boolean;
};

/** Who made it: the config file, or somebody through the control API. */
export type Origin = "config" | "api";

/**
 * bound: frames flow; deciding: not yet answered; refused: the NVA or the port says no; waiting: for the NVA. All but
 * the first are tried again.
 */
export type BindingState = "bound" | "deciding" | "refused" | "waiting";

export type BindingView = Binding & {
  origin: Origin;
  state: BindingState;
  /** Why it is not bound; else empty. */
  reason: string;
  vnic: Uuid;
  /** Of the VN, as far as it is known. */
  vnId: VnId | undefined;
  vnName: Uuid | undefined;
};

/** One port and tag has one binding. */
export const keyOf = ({ port, tag }: Pick<Binding, "port" | "tag">): string =>
  `static ${port} ${tag}`;

/** "port swp5, tag 20", "port swp5, untagged". */
export const placeText = ({ port, tag }: Pick<Binding, "port" | "tag">): string =>
  `port ${port}, ${tag === 0 ? "untagged" : `tag ${tag}`}`;

/** Of our own: the namespace of names that are made from a place (RFC 9562 §6.6). */
const NAMESPACE = Buffer.from("6d1b0f0c35a14f2e9d0a5b0d2f8e7c41", "hex");

/**
 * VNIC Name of what is at a place: the same after each restart, and unlike that of any other place of the NV domain.
 * A UUID of version 5 (RFC 9562 §5.5).
 */
export function vnicNameOf(nve: NveId, { port, tag }: Pick<Binding, "port" | "tag">): Uuid {
  const name = `${nve}\0${port}\0${tag}`;
  const octets = createHash("sha1").update(NAMESPACE).update(name).digest().subarray(0, 16);
  octets[6] = ((octets[6] ?? 0) & 0x0f) | 0x50;
  octets[8] = ((octets[8] ?? 0) & 0x3f) | 0x80;
  return uuidFrom(octets);
}
