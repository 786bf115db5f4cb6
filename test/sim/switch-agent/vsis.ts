import { type Filters, Mac, type Status, Uuid, Vid } from "@nve/protocol-spec";

// Two VNICs, two MACs, and what is asked and answered about them.

export const vm1 = Uuid("00000000-0000-4000-8000-000000000001");
export const vm2 = Uuid("00000000-0000-4000-8000-000000000002");
export const a = Mac("02:00:00:00:00:0a");
export const b = Mac("02:00:00:00:00:0b");
export const ok: Status = { is: "response", keep: false, hard: false, code: 0 };

export const group = (...entries: [vn: number, mac: Mac, vid?: number][]): Filters => ({
  by: "group-mac-vid",
  entries: entries.map(([groupId, mac, vid]) => ({
    groupId,
    mac,
    ...(vid === undefined ? {} : { vid: Vid(vid) }),
  })),
});
export const refusal = (code: number, more: Partial<Status & { is: "response" }> = {}) => ({
  status: { ...ok, code, ...more },
});
