import { OutOfRange } from "@nve/protocol-spec/errors";
import { isGroup, Mac, Uuid, VnId } from "@nve/protocol-spec/ids";

/** A VN as people and configs call it: by VN ID or VN Name (H4). */
export type VnRef = VnId | Uuid;

/** @throws OutOfRange */
export function VnRef(vn: number | string): VnRef {
  if (typeof vn === "number") return VnId(vn);
  if (/^\d+$/.test(vn)) return VnId(Number(vn));
  if (vn.includes("-")) return Uuid(vn);
  throw new OutOfRange(`"${vn}" is neither a VN ID (a number) nor a VN Name (a UUID)`);
}

/** MAC of one station. @throws OutOfRange for a group address or all zeros too */
export function StationMac(text: string): Mac {
  const mac = Mac(text);
  if (!isGroup(mac) && mac !== "00:00:00:00:00:00") return mac;
  throw new OutOfRange(`${mac} is no address of a station`);
}
