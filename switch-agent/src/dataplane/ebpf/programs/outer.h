/* SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only */
/* What stands before a tenant's frame in the underlay. */
#pragma once
#include "tor.h"
#include <linux/in.h>
#include <linux/ip.h>
#include <linux/ipv6.h>
#include <linux/udp.h>

#define VXLAN_I bpf_htonl(0x08000000) /* RFC 7348 5: the VNI is valid */
#define ECN 3			      /* RFC 3168 5: the last two bits of the DS field */
#define ECN_CE 3
#define DF bpf_htons(0x4000)
#define TTL 64 /* of packets that begin here */

struct vxlan { __u32 flags, vni; };

/* Octets from the start of the frame to the tenant's Ethernet header. */
struct vxlan_v4 { struct ethhdr eth; struct iphdr ip; struct udphdr udp; struct vxlan vxlan; } __attribute__((packed));
struct vxlan_v6 { struct ethhdr eth; struct ipv6hdr ip; struct udphdr udp; struct vxlan vxlan; } __attribute__((packed));

/* The sum of 16-bit words, not yet folded (RFC 1071). `octets` is even. */
static __always_inline __u32 sum_of(const void *data, __u32 octets)
{
	const __u16 *words = data;
	__u32 sum = 0;

#pragma unroll
	for (__u32 i = 0; i < octets / 2; i++) sum += words[i];
	return sum;
}

static __always_inline __u16 folded(__u32 sum)
{
	sum = (sum & 0xffff) + (sum >> 16);
	sum = (sum & 0xffff) + (sum >> 16);
	return sum;
}

/* The DS field (RFC 2474) of the packet in a bare frame, 0 of what is no IP. */
static __always_inline __u8 ds_of(struct __sk_buff *skb)
{
	__u8 *start = (void *)(long)skb->data, *end = (void *)(long)skb->data_end;
	struct ethhdr *eth = (void *)start;

	if (start + sizeof(*eth) + 2 > end) return 0;
	if (eth->h_proto == bpf_htons(ETH_P_IP)) return start[15];
	if (eth->h_proto == bpf_htons(ETH_P_IPV6)) return start[14] << 4 | start[15] >> 4;
	return 0;
}
