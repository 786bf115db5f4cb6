/* SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only */
/* Frames with what became of them, for somebody who captures (../capture.ts): each is copied as it comes in, and told when
 * its verdict is known. Nobody does: CAPTURED is not set, and nothing of this runs. */
#pragma once
#include "limits.h"

#define CAPTURE_OCTETS 2048
#define CAPTURE_RING (1 << 20)

/* What is wanted; 0: all. `until`: whoever captures says it again and again, or it ends. `interval` and `ahead`: as in
 * limits.h. `octets`: of a frame, CAPTURE_OCTETS at the most. */
struct capture { __u64 until, interval, ahead; __u32 ifindex, vni, drops_only, octets; };

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct capture);
} capture SEC(".maps");

/* Frames that were wanted and are too many, for the ring or by the limit. */
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, __u64);
} capture_lost SEC(".maps");

enum captured_from { FROM_PORT = 1, FROM_DEVICE = 2, FROM_UNDERLAY = 3 };

/* `verdict`: with its reason, as in tor.h. `to`: the one place that it is for, type 0: none. `vtep`: it comes from there.
 * `copies`: 1 and, of a flood, those to ports (from bit 1 on) and to other NVEs (from bit 16 on). `length`: of the frame,
 * of which `kept` octets are here. */
struct captured {
	__u64 at;
	__u32 ifindex, vni, verdict, owner, copies, length, vtep[4];
	struct place to;
	__u16 from, tag_type, tci, kept;
	__u32 zero;
	__u8 octets[CAPTURE_OCTETS];
};

/* `at` 0: it is not captured. */
struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct captured);
} capturing SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_RINGBUF);
	__uint(max_entries, CAPTURE_RING);
} captures SEC(".maps");

/* A frame as it came in. */
static __noinline int keep_frame(struct __sk_buff *skb, __u32 from)
{
	__u32 zero = 0, octets = skb->len;
	struct capture *wanted = bpf_map_lookup_elem(&capture, &zero);
	struct captured *it = bpf_map_lookup_elem(&capturing, &zero);
	__u64 now = bpf_ktime_get_ns();

	if (!wanted || !it) return 0;
	it->at = 0;
	if (now > wanted->until) return 0;
	if (octets > wanted->octets) octets = wanted->octets;
	if (!octets) return 0;
	if (octets > CAPTURE_OCTETS) octets = CAPTURE_OCTETS;
	AS_CHECKED(octets);
	octets = ((octets - 1) & (CAPTURE_OCTETS - 1)) + 1; /* as it is; but now the verifier of Linux 6.1 knows */
	if (bpf_skb_load_bytes(skb, 0, it->octets, octets)) return 0;
	it->at = now;
	it->ifindex = skb->ifindex;
	it->length = skb->len;
	it->kept = octets;
	it->from = from;
	it->tag_type = skb->vlan_present ? bpf_ntohs(skb->vlan_proto) : 0;
	it->tci = skb->vlan_tci;
	return 0;
}

struct told { __u32 vni, owner, copies, verdict; const struct place *to; const __u32 *vtep; };

/* What became of it, if that is wanted. */
static __noinline int tell_frame(const struct told *told)
{
	struct bucket_key key = { .kind = LIMIT_OF_CAPTURE };
	__u32 zero = 0, octets;
	struct capture *wanted = bpf_map_lookup_elem(&capture, &zero);
	struct captured *it = bpf_map_lookup_elem(&capturing, &zero);
	__u64 *lost;

	if (!wanted || !it || !it->at || !told) return 0;
	/* The tunnel device has it, and it comes again. */
	if (told->verdict == TC_ACT_OK && it->from != FROM_PORT) return 0;
	it->vni = told->vni;
	it->owner = told->owner;
	it->copies = told->copies;
	it->verdict = told->verdict;
	if (told->to) memcpy(&it->to, told->to, sizeof(it->to));
	else memset(&it->to, 0, sizeof(it->to));
	if (told->vtep) memcpy(it->vtep, told->vtep, sizeof(it->vtep));
	else memset(it->vtep, 0, sizeof(it->vtep));
	if (wanted->vni && wanted->vni != it->vni) return 0;
	if (wanted->drops_only && !(it->verdict >> 8)) return 0;
	if (wanted->ifindex && it->ifindex != wanted->ifindex &&
	    (it->to.type != LOCAL || it->to.ifindex != wanted->ifindex))
		return 0;
	octets = it->kept;
	if (octets > CAPTURE_OCTETS) return 0;
	if (spend(&key, wanted->interval, wanted->ahead) &&
	    !bpf_ringbuf_output(&captures, it, offsetof(struct captured, octets) + octets, BPF_RB_NO_WAKEUP))
		return 0;
	lost = bpf_map_lookup_elem(&capture_lost, &zero);
	if (lost) __sync_fetch_and_add(lost, 1);
	return 0;
}
