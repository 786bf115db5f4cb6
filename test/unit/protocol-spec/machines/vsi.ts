import {
  type Association,
  type Filters,
  type Status,
  type Tag,
  Uuid,
  Vid,
  type VsiRequest,
  vsiIdOf,
} from "@nve/protocol-spec";

/** Values of one VSI that the tests of station and bridge speak of. */
export const times = {
  ackTimeoutMs: 100,
  resourceWaitMs: 1000,
  responseWaitMs: 3000,
  reinitKeepaliveMs: 10_000,
  keepaliveTimeoutMs: 18_000,
};

export const plain = {
  is: "request",
  suspended: false,
  migrating: false,
  code: 0,
} as const satisfies Status;

/** One VN, one tag: `vid` 0 is the null VID. */
export const group = (vid: number, groupId = 5001): Filters => ({
  by: "group-vid",
  entries: [{ groupId, ...tag(vid) }],
});

export const tag = (vid: number, pcp?: number): Tag => ({
  ...(vid === 0 ? {} : { vid: Vid(vid) }),
  ...(pcp === undefined ? {} : { pcp }),
});

export const association = (filters: Filters, status: Status = plain): Association => ({
  status,
  vsiType: { id: 7, version: 1 },
  vsiId: vsiIdOf(Uuid("fa9b7fff-b0a0-4893-abcd-beef4ff18f13")),
  filters,
});

export const request = (
  type: VsiRequest["type"],
  filters: Filters,
  status: Status = plain,
): VsiRequest => ({ type, association: association(filters, status) });

export const response = (filters: Filters, code = 0, flag?: "keep" | "hard"): Association =>
  association(filters, { is: "response", keep: flag === "keep", hard: flag === "hard", code });
