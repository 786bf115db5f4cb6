/* SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only */
/* The outer headers, taken off here. What this does not understand is the kernel's, and so of VXLAN the tunnel device's. */
#pragma once
#include "gre.h"

/* Linux 6.3; older kernels refuse them at each call, not when the program is loaded. */
#define DECAP_L3_IPV4 (1ULL << 7)
#define DECAP_L3_IPV6 (1ULL << 8)

/* `octets`: from the start of the frame to the tenant's Ethernet header. */
struct outer { struct peer_key peer; __u32 octets; __u16 type, inner_type; __u8 ds, gre, ttl; };

/* `udp` and what follows are the last `octets` of the frame. */
static __always_inline int is_vxlan(const struct udphdr *udp, __u32 octets, const struct config *c)
{
	const struct vxlan *vxlan = (void *)(udp + 1);

	return udp->dest == c->port && bpf_ntohs(udp->len) == octets && (vxlan->flags & VXLAN_I);
}

/* An IPv4 header without options, of a packet that is no fragment, and its checksum right. */
static __always_inline int is_plain(const struct iphdr *ip, __u32 octets)
{
	return *(__u8 *)ip == 0x45 && !(ip->frag_off & bpf_htons(0x3fff)) && bpf_ntohs(ip->tot_len) == octets &&
	       folded(sum_of(ip, sizeof(*ip))) == 0xffff;
}

/* What can be taken off is in the linear part, where these programs see it. */
#define SEEN_OCTETS (sizeof(struct vxlan_v6) + ETH_HLEN)

static __always_inline int is_at_hand(struct __sk_buff *skb)
{
	__u32 octets = skb->len < SEEN_OCTETS ? skb->len : SEEN_OCTETS;

	if ((void *)(long)skb->data + SEEN_OCTETS <= (void *)(long)skb->data_end) return 1;
	return !bpf_skb_pull_data(skb, octets);
}

/* NVGRE and MPLS over GRE, if they are taken; none of GRE's other options. @returns 1 and the VNI */
static __noinline int read_gre(struct __sk_buff *skb, const struct config *c, struct outer *o, __u32 at)
{
	struct gre gre;

	if (bpf_skb_load_bytes(skb, at, &gre, sizeof(gre))) return 0;
	if (bpf_skb_load_bytes(skb, at + sizeof(gre) + offsetof(struct ethhdr, h_proto), &o->inner_type, 2)) return 0;
	o->octets = at + sizeof(gre);
	o->gre = 1;
	if (gre.flags == GRE_KEY && gre.protocol == ETH_P_BRIDGED) {
		o->peer.vni = bpf_ntohl(gre.word) >> 8;
		return !!(c->flags & TAKES_NVGRE);
	}
	if (gre.flags || gre.protocol != ETH_P_MPLS || !(bpf_ntohl(gre.word) & MPLS_BOTTOM)) return 0;
	o->peer.vni = bpf_ntohl(gre.word) >> 12;
	return !!(c->flags & TAKES_MPLS_OVER_GRE);
}

#define TAKES_GRE (TAKES_NVGRE | TAKES_MPLS_OVER_GRE)

static __always_inline int read_v4(struct __sk_buff *skb, const struct config *c, struct outer *o)
{
	void *start = (void *)(long)skb->data, *end = (void *)(long)skb->data_end;
	struct vxlan_v4 *v4 = start;
	struct iphdr *ip = start + ETH_HLEN;
	struct ethhdr *inner = (void *)(v4 + 1);
	__u32 octets = skb->len - ETH_HLEN;

	if ((void *)(ip + 1) + sizeof(struct gre) > end) return 0;
	if (ip->daddr != c->vtep[3] || c->vtep[2] != bpf_htonl(0xffff) || c->vtep[0] || c->vtep[1]) return 0;
	o->peer.vtep[2] = bpf_htonl(0xffff);
	o->peer.vtep[3] = ip->saddr;
	o->ds = ip->tos;
	o->ttl = ip->ttl;
	if (ip->protocol == IPPROTO_GRE)
		return (c->flags & TAKES_GRE) && is_plain(ip, octets) && read_gre(skb, c, o, ETH_HLEN + sizeof(*ip));
	if ((void *)(inner + 1) > end || ip->protocol != IPPROTO_UDP || !(c->flags & FAST_PATH)) return 0;
	if (!is_vxlan((void *)(ip + 1), octets - sizeof(*ip), c) || !is_plain(ip, octets)) return 0;
	o->peer.vni = bpf_ntohl(v4->vxlan.vni) >> 8;
	o->octets = sizeof(*v4);
	o->inner_type = inner->h_proto;
	return 1;
}

/* The UDP checksum is not looked at (RFC 7348 5: a receiver may choose so). */
static __always_inline int read_v6(struct __sk_buff *skb, const struct config *c, struct outer *o)
{
	void *start = (void *)(long)skb->data, *end = (void *)(long)skb->data_end;
	struct vxlan_v6 *v6 = start;
	struct ipv6hdr *ip = start + ETH_HLEN;
	struct ethhdr *inner = (void *)(v6 + 1);
	__u32 octets = skb->len - ETH_HLEN - sizeof(*ip);

	if ((void *)(ip + 1) + sizeof(struct gre) > end) return 0;
	if (ip->daddr.s6_addr32[0] != c->vtep[0] || ip->daddr.s6_addr32[1] != c->vtep[1] ||
	    ip->daddr.s6_addr32[2] != c->vtep[2] || ip->daddr.s6_addr32[3] != c->vtep[3])
		return 0;
	if (bpf_ntohs(ip->payload_len) != octets) return 0;
	memcpy(o->peer.vtep, &ip->saddr, 16);
	o->ds = *(__u8 *)ip << 4 | ip->flow_lbl[0] >> 4;
	o->ttl = ip->hop_limit;
	if (ip->nexthdr == IPPROTO_GRE) return (c->flags & TAKES_GRE) && read_gre(skb, c, o, ETH_HLEN + sizeof(*ip));
	if ((void *)(inner + 1) > end || ip->nexthdr != IPPROTO_UDP || !(c->flags & FAST_PATH)) return 0;
	if (!is_vxlan((void *)(ip + 1), octets, c)) return 0;
	o->peer.vni = bpf_ntohl(v6->vxlan.vni) >> 8;
	o->octets = sizeof(*v6);
	o->inner_type = inner->h_proto;
	return 1;
}

/* @returns 1 when it is a tunnel to us, whole and with nothing that this does not know */
static __always_inline int read_outer(struct __sk_buff *skb, const struct config *c, struct outer *o)
{
	struct ethhdr *eth = ethernet(skb);

	if (!eth || skb->pkt_type != 0 || skb->vlan_present) return 0; /* PACKET_HOST */
	o->type = eth->h_proto;
	if (eth->h_proto == bpf_htons(ETH_P_IP)) return read_v4(skb, c, o);
	return eth->h_proto == bpf_htons(ETH_P_IPV6) && read_v6(skb, c, o);
}

/* A super-packet of UDP keeps its mark of a tunnel, so that nobody can split it any more: the device takes that off. */
static __noinline int is_split_by_device(struct __sk_buff *skb, __u32 at, __u16 type)
{
	__u8 protocol = 0;

	if (type == bpf_htons(ETH_P_IP)) at += offsetof(struct iphdr, protocol);
	else at += offsetof(struct ipv6hdr, nexthdr);
	if (bpf_skb_load_bytes(skb, at, &protocol, 1)) return 1;
	return protocol != IPPROTO_TCP;
}

/* What this takes off; the rest of VXLAN is the device's. */
static __always_inline int is_by_hand(struct __sk_buff *skb, const struct outer *o)
{
	if (o->inner_type != bpf_htons(ETH_P_IP) && o->inner_type != bpf_htons(ETH_P_IPV6)) return 0;
	return !skb->gso_size || !is_split_by_device(skb, o->octets + ETH_HLEN, o->inner_type);
}

/* RFC 6040 4.2: the tenant's packet gets what the underlay has marked. @returns 0, or 1 when it has to be dropped */
static __noinline int mark_congestion(struct __sk_buff *skb, __u32 outer)
{
	__u8 *start = (void *)(long)skb->data, *end = (void *)(long)skb->data_end;
	struct ethhdr *eth = (void *)start;
	__u8 inner;

	if (start + sizeof(*eth) + sizeof(struct iphdr) > end) return 0;
	if (eth->h_proto == bpf_htons(ETH_P_IP)) {
		struct iphdr *ip = (void *)(eth + 1);
		__u16 was = *(__u16 *)ip, is;

		inner = ip->tos & ECN;
		if (!inner) return outer == ECN_CE;
		if (outer != ECN_CE && !(outer == 1 && inner == 2)) return 0;
		is = (was & ~bpf_htons(ECN)) | bpf_htons(outer);
		*(__u16 *)ip = is;
		ip->check = ~folded((__u16)~ip->check + (__u16)~was + is); /* RFC 1624 */
		return 0;
	}
	if (eth->h_proto != bpf_htons(ETH_P_IPV6)) return 0;
	inner = start[15] >> 4 & ECN;
	if (!inner) return outer == ECN_CE;
	if (outer == ECN_CE || (outer == 1 && inner == 2)) start[15] = (start[15] & ~0x30) | outer << 4;
	return 0;
}

/* @returns TC_ACT_UNSPEC and the frame bare; or a verdict: nothing was changed then */
static __always_inline int strip(struct __sk_buff *skb, const struct outer *o)
{
	__u64 flags = BPF_F_ADJ_ROOM_FIXED_GSO;
	void *start = (void *)(long)skb->data, *end = (void *)(long)skb->data_end;
	void *tenants = start + (o->octets & 127);
	struct ethhdr inner, *eth;

	if (tenants + sizeof(inner) <= end) memcpy(&inner, tenants, sizeof(inner));
	else if (bpf_skb_load_bytes(skb, o->octets, &inner, sizeof(inner))) return DROP(MALFORMED);
	/* The kernel's own idea of the packet's protocol has to follow; before Linux 6.3 it cannot be told. */
	if (o->inner_type != o->type && o->inner_type == bpf_htons(ETH_P_IPV6)) flags |= DECAP_L3_IPV6;
	/* What is no IP, too: of IPv6 at least 40 octets would have to be left, and ARP has 28. */
	if (o->inner_type != o->type && o->type == bpf_htons(ETH_P_IPV6)) flags |= DECAP_L3_IPV4;
	if (bpf_skb_adjust_room(skb, -(__s32)o->octets, BPF_ADJ_ROOM_MAC, flags) &&
	    (skb->gso_size || flags == BPF_F_ADJ_ROOM_FIXED_GSO ||
	     bpf_skb_adjust_room(skb, -(__s32)o->octets, BPF_ADJ_ROOM_MAC, BPF_F_ADJ_ROOM_FIXED_GSO)))
		return o->gre ? DROP(TUNNEL_ERROR) : TC_ACT_OK;
	eth = ethernet(skb);
	if (!eth) return DROP(MALFORMED);
	memcpy(eth, &inner, sizeof(inner));
	if ((o->ds & ECN) && mark_congestion(skb, o->ds & ECN)) return DROP(CONGESTED);
	return TC_ACT_UNSPEC;
}
