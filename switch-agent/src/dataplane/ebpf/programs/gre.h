/* SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only */
/* Ethernet in GRE: NVGRE (RFC 7637) and with an MPLS label (RFC 4023). There is no tunnel device for them: all is here. */
#pragma once
#include "encap.h"

/* One 8-octet header for both; `word` is NVGRE's key, or the label stack entry. */
struct gre { __u16 flags, protocol; __u32 word; };
struct gre_v4 { struct ethhdr eth; struct iphdr ip; struct gre gre; } __attribute__((packed));
struct gre_v6 { struct ethhdr eth; struct ipv6hdr ip; struct gre gre; } __attribute__((packed));

#define GRE_KEY bpf_htons(0x2000)
#define ETH_P_BRIDGED bpf_htons(ETH_P_TEB)
#define ETH_P_MPLS bpf_htons(ETH_P_MPLS_UC)
#define MPLS_BOTTOM 0x100 /* RFC 3032 2.1: label 20 bits, class 3, bottom of the stack, TTL 8 */
#define MPLS_LABELS (1 << 20)

/* What all copies of a frame have in common. `octets`: of the bare frame. */
struct carried { __u32 vni, flow, octets; __u8 ds, ttl; };

static __always_inline struct carried carried_of(struct __sk_buff *skb, __u32 vni, __u32 ttl)
{
	struct carried it = { .vni = vni, .flow = flow_of(skb), .octets = skb->len, .ds = ds_of(skb), .ttl = ttl };

	return it;
}

/* Makes room for the headers before a bare frame. @returns 0, or not when nothing was changed */
static __noinline int make_room(struct __sk_buff *skb, __u32 v6)
{
	struct ethhdr *eth = ethernet(skb), inner;
	__u32 room = v6 ? sizeof(struct gre_v6) : sizeof(struct gre_v4);
	__u64 flags = v6 ? ROOM_FLAGS(L3_IPV6, L4_GRE) : ROOM_FLAGS(L3_IPV4, L4_GRE);

	if (!eth) return -1;
	memcpy(&inner, eth, sizeof(inner));
	if ((inner.h_proto == bpf_htons(ETH_P_IP) || inner.h_proto == bpf_htons(ETH_P_IPV6)) &&
	    !bpf_skb_adjust_room(skb, room, BPF_ADJ_ROOM_MAC, flags))
		return bpf_skb_store_bytes(skb, room, &inner, sizeof(inner), 0);
	/* No IP, or the tenant's own tunnel: what is split later needs more than room. */
	return skb->gso_size ? -1 : bpf_skb_change_head(skb, room, 0);
}

/* Writes the headers into the room. @returns 0, or not */
static __noinline int write_gre(struct __sk_buff *skb, const struct config *c, const struct place *to,
				const struct next_hop *hop, const struct carried *it)
{
	struct gre gre = { .flags = GRE_KEY, .protocol = ETH_P_BRIDGED, .word = bpf_htonl(it->vni << 8 | (it->flow & 0xff)) };

	if (to->encapsulation == MPLS_OVER_GRE) {
		gre.flags = 0;
		gre.protocol = ETH_P_MPLS;
		gre.word = bpf_htonl(it->vni << 12 | MPLS_BOTTOM | 64);
	}
	if (to->type == REMOTE_V6) {
		struct gre_v6 out = { .eth.h_proto = bpf_htons(ETH_P_IPV6), .gre = gre };
		__u32 start = bpf_htonl(0x60000000 | it->ds << 20);

		memcpy(out.eth.h_dest, hop->destination, 6);
		memcpy(out.eth.h_source, hop->source, 6);
		memcpy(&out.ip, &start, 4);
		out.ip.payload_len = bpf_htons(it->octets + sizeof(gre));
		out.ip.nexthdr = IPPROTO_GRE;
		out.ip.hop_limit = it->ttl;
		memcpy(&out.ip.saddr, c->vtep, 16);
		memcpy(&out.ip.daddr, to->vtep, 16);
		return bpf_skb_store_bytes(skb, 0, &out, sizeof(out), 0);
	}
	struct gre_v4 out = { .eth.h_proto = bpf_htons(ETH_P_IP), .gre = gre };
	struct iphdr ip = {
		.version = 4, .ihl = 5, .tos = it->ds, .frag_off = DF, .ttl = it->ttl, .protocol = IPPROTO_GRE,
		.tot_len = bpf_htons(it->octets + sizeof(ip) + sizeof(gre)), .saddr = c->vtep[3], .daddr = to->vtep[3],
	};

	memcpy(out.eth.h_dest, hop->destination, 6);
	memcpy(out.eth.h_source, hop->source, 6);
	ip.check = ~folded(sum_of(&ip, sizeof(ip)));
	memcpy(&out.ip, &ip, sizeof(ip));
	return bpf_skb_store_bytes(skb, 0, &out, sizeof(out), 0);
}

/* What is wrong with sending it there so. @returns 0: nothing */
static __always_inline int gre_fault(const struct place *to, const struct next_hop *hop, const struct carried *it,
				     __u32 gso)
{
	/* A VN has one MTU whatever takes its frames: the room is that of VXLAN. */
	__u32 octets = it->octets + (to->type == REMOTE_V6 ? sizeof(struct vxlan_v6) : sizeof(struct vxlan_v4)) - ETH_HLEN;

	if (!hop || !hop->ifindex) return NO_NEXT_HOP;
	if (octets > 0xffff || (octets > hop->mtu && !gso)) return OVERSIZE;
	if (to->encapsulation == MPLS_OVER_GRE && it->vni >= MPLS_LABELS) return TUNNEL_ERROR;
	return 0;
}

/* The same of an answer that was made here: the kernel has another idea of where its IP header is. */
static __always_inline int room_for(struct __sk_buff *skb, __u32 v6, int is_answer)
{
	if (!is_answer) return make_room(skb, v6);
	return bpf_skb_change_head(skb, v6 ? sizeof(struct gre_v6) : sizeof(struct gre_v4), 0);
}

/* A frame to one place. `ttl_vni`: in 8 and in 24 bits. `mtu` NULL: it is an answer. @returns a verdict, or TOO_LONG and the longest packet that it may be */
static __noinline int to_gre(struct __sk_buff *skb, const struct config *c, __u32 ttl_vni, const struct place *to, __u32 *mtu)
{
	struct carried it = carried_of(skb, ttl_vni & 0xffffff, ttl_vni >> 24);
	struct next_hop *hop = bpf_map_lookup_elem(&next_hops, &to->ifindex);
	int fault = gre_fault(to, hop, &it, skb->gso_size);

	if (hop && hop->ifindex && mtu) {
		*mtu = hop->mtu - (to->type == REMOTE_V6 ? sizeof(struct vxlan_v6) : sizeof(struct vxlan_v4));
		if (longest(skb) > *mtu) return TOO_LONG;
	}
	if (fault || !hop) return DROP(fault);
	if (room_for(skb, to->type == REMOTE_V6, !mtu) || write_gre(skb, c, to, hop, &it)) return DROP(TUNNEL_ERROR);
	return bpf_redirect(hop->ifindex, 0);
}

/* One of several copies: the room is made for the first of them, and stays. @returns 1: sent */
static __noinline int copy_in_gre(struct __sk_buff *skb, const struct config *c, const struct place *to,
				  struct carried *it, __u32 *has_room)
{
	struct next_hop *hop = bpf_map_lookup_elem(&next_hops, &to->ifindex);
	int fault = gre_fault(to, hop, it, skb->gso_size);

	if (fault || !hop) {
		(void)DROP(fault);
		return 0;
	}
	if (!*has_room && make_room(skb, to->type == REMOTE_V6)) {
		(void)DROP(TUNNEL_ERROR);
		return 0;
	}
	*has_room = 1;
	if (write_gre(skb, c, to, hop, it)) {
		(void)DROP(TUNNEL_ERROR);
		return 0;
	}
	return !bpf_clone_redirect(skb, hop->ifindex, 0);
}
