/* SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only */
/* Flood limits (P12, V11): a bucket for each place of a VN that has a limit, and one for each port that has one. A bucket
 * is the time until which it is spent (GCRA, ITU-T I.371 annex A): exact, and no lock. */
#pragma once
#include "tor.h"

enum limit_of { LIMIT_OF_VN, LIMIT_OF_PORT, LIMIT_OF_TELLING, LIMIT_OF_CAPTURE, LIMIT_OF_UNREACHABLE };
struct limit_key { __u32 of, kind; };
/* Nanoseconds: what one frame takes, and how far ahead of the time the bucket may be: (burst - 1) intervals. */
struct limit { __u64 interval, ahead; };
struct bucket_key { __u32 ifindex; __u16 vid, kind; };

HASH(flood_limits, struct limit_key, struct limit, 65536);

/* Forgotten when so many others flood at the same time: then it begins anew, full. */
struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, 32768);
	__type(key, struct bucket_key);
	__type(value, __u64);
} buckets SEC(".maps");

/* Of as many CPUs at one bucket at the same moment one passes without paying. */
#define TRIES 4

static __noinline int spend(const struct bucket_key *key, __u64 interval, __u64 ahead)
{
	__u64 now = bpf_ktime_get_ns(), from, *spent;
	int i;

	if (!key) return 0;
	spent = bpf_map_lookup_elem(&buckets, key);
	if (!spent) {
		from = now + interval;
		bpf_map_update_elem(&buckets, key, &from, BPF_ANY);
		return 1;
	}
	for (i = 0; i < TRIES; i++) {
		__u64 was = *(volatile __u64 *)spent;

		from = was > now ? was : now;
		if (from - now > ahead) return 0;
		if (__sync_val_compare_and_swap(spent, was, from + interval) == was) return 1;
	}
	return 1;
}

static __noinline int has_token(__u32 of, __u32 ifindex, __u32 vid, __u32 kind)
{
	struct bucket_key key = { .ifindex = ifindex, .vid = vid, .kind = kind };
	struct limit_key limit_key = { .of = of, .kind = kind };
	struct limit *limit = bpf_map_lookup_elem(&flood_limits, &limit_key);

	return !limit || spend(&key, limit->interval, limit->ahead);
}

static __always_inline int may_flood(__u32 vni, __u32 ifindex, __u32 vid, __u32 vn_flags, __u32 access_flags)
{
	if ((vn_flags & FLOOD_LIMIT) && !has_token(vni, ifindex, vid, LIMIT_OF_VN)) return 0;
	return !(access_flags & ACCESS_FLOOD_LIMIT) || has_token(ifindex, ifindex, 0, LIMIT_OF_PORT);
}
