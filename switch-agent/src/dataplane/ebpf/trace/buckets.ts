import { type BpfMap, type BpfObject, struct, u16, u32, u64 } from "@nve/linux/bpf";

/** Until when each bucket is spent: of programs/limits.h and programs/rules.h. Nobody else reads them. */
export type BucketMaps = {
  buckets: BpfMap<{ ifindex: number; vid: number; kind: number }, number>;
  policedPlaces: BpfMap<{ vni: number; ifindex: number; vid: number }, number>;
};

export const bucketMaps = (object: BpfObject): BucketMaps => ({
  buckets: object.map("buckets", struct({ ifindex: u32, vid: u16, kind: u16 }), u64),
  policedPlaces: object.map("policed_places", struct({ vni: u32, ifindex: u32, vid: u32 }), u64),
});

/** `kind` of a bucket: `enum limit_of`. */
export const bucketOf = { vn: 0, port: 1, telling: 2, unreachable: 4 } as const;
