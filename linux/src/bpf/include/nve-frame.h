/* SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only */
/* What the tc programs share. Only helpers and context fields that Linux 6.1 has; no CO-RE, no BTF of the kernel. */
#pragma once
#include <linux/bpf.h>
#include <linux/if_ether.h>
#include <linux/pkt_cls.h>
#include <stddef.h>
#include <bpf/bpf_endian.h>
#include <bpf/bpf_helpers.h>

#define ETH_P_ECP 0x8940 /* 802.1Q clause 43 */
#define memcpy __builtin_memcpy
#define memset __builtin_memset

#define HASH(name, keys, values, max)                                        \
	struct {                                                             \
		__uint(type, BPF_MAP_TYPE_HASH);                             \
		__uint(max_entries, max);                                    \
		__uint(map_flags, BPF_F_NO_PREALLOC);                        \
		__type(key, keys);                                           \
		__type(value, values);                                       \
	} name SEC(".maps")

#define PERCPU_HASH(name, keys, values, max)                                 \
	struct {                                                             \
		__uint(type, BPF_MAP_TYPE_PERCPU_HASH);                      \
		__uint(max_entries, max);                                    \
		__uint(map_flags, BPF_F_NO_PREALLOC);                        \
		__type(key, keys);                                           \
		__type(value, values);                                       \
	} name SEC(".maps")

/* The verdict of a drop; a program that tells reasons apart in it has its own. */
#ifndef DROPPED
#define DROPPED(reason) TC_ACT_SHOT
#endif

/* Counts a drop in the per-CPU array `drops` of the program and gives the verdict. */
#define DROP(reason)                                                         \
	({                                                                   \
		__u32 reason_ = (reason);                                    \
		__u64 *count_ = bpf_map_lookup_elem(&drops, &reason_);       \
		if (count_) *count_ += 1;                                    \
		DROPPED(reason_);                                            \
	})

/* The Ethernet header, or NULL when the frame is shorter (in its linear part). */
static __always_inline struct ethhdr *ethernet(struct __sk_buff *skb)
{
	void *start = (void *)(long)skb->data, *end = (void *)(long)skb->data_end;
	struct ethhdr *eth = start;

	return (void *)(eth + 1) > end ? NULL : eth;
}

static __always_inline int is_group(const __u8 *mac)
{
	return mac[0] & 1;
}

/* 01-80-C2-00-00-0X: never forwarded by a bridge (802.1Q 8.6.3, table 8-1). */
static __always_inline int is_link_local(const __u8 *mac)
{
	return mac[0] == 0x01 && mac[1] == 0x80 && mac[2] == 0xc2 && mac[3] == 0 && mac[4] == 0 && (mac[5] & 0xf0) == 0;
}

/* A tag is in the frame still: in the metadata (the kernel moves the next one there at each pop) or in the octets. */
static __always_inline int is_tagged(struct __sk_buff *skb, const struct ethhdr *eth)
{
	return skb->vlan_present || eth->h_proto == bpf_htons(ETH_P_8021Q) || eth->h_proto == bpf_htons(ETH_P_8021AD);
}

static __always_inline __u16 vid_of(struct __sk_buff *skb)
{
	return skb->vlan_tci & 0x0fff;
}
