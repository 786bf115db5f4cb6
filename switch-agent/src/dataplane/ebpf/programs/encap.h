/* SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only */
/* The outer headers, built here: the way of what is sent most. What this does not understand goes to the tunnel
 * device, which does the same more slowly. */
#pragma once
#include "toobig.h"

/* None of the TC_ACT_*: the frame is as it was, and for the tunnel device; or too long for the way to that NVE. */
#define BY_DEVICE (-2)
#define TOO_LONG (-3)

/* Each bit of both changes half of the result's. */
static __always_inline __u32 mixed(__u32 hash, __u32 word)
{
	hash = (hash ^ word) * 0x85ebca6b;
	hash ^= hash >> 15;
	hash *= 0xc2b2ae35;
	return hash ^ hash >> 16;
}

/* One number for a tenant's flow, from its addresses and ports (RFC 7348 5: source port entropy). */
static __always_inline __u32 flow_of(struct __sk_buff *skb)
{
	__u8 *at = (void *)(long)skb->data, *end = (void *)(long)skb->data_end;
	struct ethhdr *eth = (void *)at;
	__u32 hash = skb->hash;

	if (hash) return mixed(hash, 0);
	if (at + sizeof(*eth) + sizeof(struct iphdr) + 4 > end) return 0;
	if (eth->h_proto == bpf_htons(ETH_P_IP)) {
		struct iphdr *ip = (void *)(eth + 1);

		hash = mixed(mixed(ip->protocol, ip->saddr), ip->daddr);
		if (ip->ihl == 5 && !(ip->frag_off & bpf_htons(0x3fff)) &&
		    (ip->protocol == IPPROTO_TCP || ip->protocol == IPPROTO_UDP))
			hash = mixed(hash, *(__u32 *)(ip + 1));
		return hash;
	}
	if (eth->h_proto == bpf_htons(ETH_P_IPV6)) {
		struct ipv6hdr *ip = (void *)(eth + 1);

		if ((void *)(ip + 1) + 4 > (void *)end) return 0;
		hash = mixed(ip->nexthdr, ip->saddr.s6_addr32[1] ^ ip->saddr.s6_addr32[3]);
		hash = mixed(hash, ip->daddr.s6_addr32[1] ^ ip->daddr.s6_addr32[3]);
		if (ip->nexthdr == IPPROTO_TCP || ip->nexthdr == IPPROTO_UDP) hash = mixed(hash, *(__u32 *)(ip + 1));
		return hash;
	}
	return mixed(*(__u32 *)(eth->h_dest + 2), *(__u32 *)(eth->h_source + 2));
}

/* The dynamic ports, 49152 to 65535 (RFC 7348 5). */
static __always_inline __u16 source_port(__u32 hash)
{
	return bpf_htons(0xc000 | (hash & 0x3fff));
}

#define ROOM_FLAGS(l3, l4) (BPF_F_ADJ_ROOM_ENCAP_##l3 | BPF_F_ADJ_ROOM_ENCAP_##l4 | BPF_F_ADJ_ROOM_ENCAP_L2(ETH_HLEN) | \
			    BPF_F_ADJ_ROOM_ENCAP_L2_ETH | BPF_F_ADJ_ROOM_FIXED_GSO)

/* RFC 7348 over IPv4: DF (4.3), TTL 64, the DS field of the tenant's packet (RFC 6040 4.1, normal mode), no UDP checksum. */
static __always_inline int to_vxlan_v4(struct __sk_buff *skb, const struct config *c, __u32 vni,
				       const struct place *to, const struct next_hop *hop)
{
	__u32 octets = skb->len + sizeof(struct vxlan_v4) - ETH_HLEN;
	__u8 ds = ds_of(skb);
	__u16 port = source_port(flow_of(skb));
	struct ethhdr *eth = ethernet(skb), inner;
	struct vxlan_v4 *out;
	void *start, *end;

	if (!eth) return BY_DEVICE;
	memcpy(&inner, eth, sizeof(inner));
	/* Keeps the Ethernet header in front as the outer one and makes room behind it. */
	if (bpf_skb_adjust_room(skb, sizeof(*out), BPF_ADJ_ROOM_MAC, ROOM_FLAGS(L3_IPV4, L4_UDP))) return BY_DEVICE;
	start = (void *)(long)skb->data;
	end = (void *)(long)skb->data_end;
	out = start;
	if (start + sizeof(*out) + sizeof(inner) > end) return DROP(TUNNEL_ERROR);
	memcpy(out->eth.h_dest, hop->destination, 6);
	memcpy(out->eth.h_source, hop->source, 6);
	out->eth.h_proto = bpf_htons(ETH_P_IP);
	*(__u8 *)(start + ETH_HLEN) = 0x45;
	out->ip.tos = ds;
	out->ip.tot_len = bpf_htons(octets);
	out->ip.id = 0; /* RFC 6864 4.1 */
	out->ip.frag_off = DF;
	out->ip.ttl = 64;
	out->ip.protocol = IPPROTO_UDP;
	out->ip.saddr = c->vtep[3];
	out->ip.daddr = to->vtep[3];
	out->ip.check = ~folded(bpf_htons(0x4500 | ds) + bpf_htons(octets) + DF + bpf_htons(64 << 8 | IPPROTO_UDP) +
				sum_of(&c->vtep[3], 4) + sum_of(&to->vtep[3], 4));
	out->udp.source = port;
	out->udp.dest = c->port;
	out->udp.len = bpf_htons(octets - sizeof(struct iphdr));
	out->udp.check = 0;
	out->vxlan.flags = VXLAN_I;
	out->vxlan.vni = bpf_htonl(vni << 8);
	memcpy(start + sizeof(*out), &inner, sizeof(inner));
	return bpf_redirect(hop->ifindex, 0);
}

/* What a whole TCP or UDP packet adds to a sum, when its checksum is right: then its words and those of its pseudo-header
 * make 0. So it need not be read, and a checksum that the NIC will fill in does not matter. @returns 0: not to be said so */
static __always_inline __u32 sum_of_packet(struct __sk_buff *skb)
{
	void *start = (void *)(long)skb->data, *end = (void *)(long)skb->data_end;
	struct ethhdr *eth = start;
	__u32 sum, octets;
	struct udphdr *udp;
	__u8 protocol;

	if (start + sizeof(*eth) + sizeof(struct iphdr) + sizeof(*udp) > end) return 0;
	sum = sum_of(eth, sizeof(*eth));
	if (eth->h_proto == bpf_htons(ETH_P_IP)) {
		struct iphdr *ip = (void *)(eth + 1);

		octets = skb->len - sizeof(*eth) - sizeof(*ip);
		if (*(__u8 *)ip != 0x45 || (ip->frag_off & bpf_htons(0x3fff))) return 0;
		if (bpf_ntohs(ip->tot_len) != octets + sizeof(*ip)) return 0;
		protocol = ip->protocol;
		udp = (void *)(ip + 1);
		sum += sum_of(ip, sizeof(*ip));
		sum += (__u16)~folded(sum_of(&ip->saddr, 8) + bpf_htons(octets) + bpf_htons(protocol));
	} else {
		struct ipv6hdr *ip = (void *)(eth + 1);

		if ((void *)(ip + 1) + sizeof(*udp) > end) return 0;
		octets = skb->len - sizeof(*eth) - sizeof(*ip);
		if (bpf_ntohs(ip->payload_len) != octets) return 0;
		protocol = ip->nexthdr;
		udp = (void *)(ip + 1);
		sum += sum_of(ip, sizeof(*ip));
		sum += (__u16)~folded(sum_of(&ip->saddr, 32) + bpf_htons(octets) + bpf_htons(protocol));
	}
	if (protocol == IPPROTO_TCP) return sum;
	return protocol == IPPROTO_UDP && udp->check && bpf_ntohs(udp->len) == octets ? sum : 0;
}

/* As over IPv4, but with the UDP checksum that a receiver may insist on (RFC 8200 8.1): super-packets, whose segments would
 * need one each, and packets of which it is not known are the tunnel device's. */
static __noinline int to_vxlan_v6(struct __sk_buff *skb, const struct config *c, __u32 vni,
				  const struct place *to, const struct next_hop *hop)
{
	__u32 octets = skb->len + sizeof(struct udphdr) + sizeof(struct vxlan);
	__u32 sum = sum_of_packet(skb), start_of_ip;
	__u16 port = source_port(flow_of(skb));
	struct ethhdr *eth = ethernet(skb), inner;
	struct vxlan_v6 *out;
	void *start, *end;

	if (!sum || !eth || skb->gso_size) return BY_DEVICE;
	start_of_ip = bpf_htonl(0x60000000 | ds_of(skb) << 20);
	memcpy(&inner, eth, sizeof(inner));
	if (bpf_skb_adjust_room(skb, sizeof(*out), BPF_ADJ_ROOM_MAC, ROOM_FLAGS(L3_IPV6, L4_UDP))) return BY_DEVICE;
	start = (void *)(long)skb->data;
	end = (void *)(long)skb->data_end;
	out = start;
	if (start + sizeof(*out) + sizeof(inner) > end) return DROP(TUNNEL_ERROR);
	memcpy(out->eth.h_dest, hop->destination, 6);
	memcpy(out->eth.h_source, hop->source, 6);
	out->eth.h_proto = bpf_htons(ETH_P_IPV6);
	memcpy(&out->ip, &start_of_ip, 4);
	out->ip.payload_len = bpf_htons(octets);
	out->ip.nexthdr = IPPROTO_UDP;
	out->ip.hop_limit = 64;
	memcpy(&out->ip.saddr, c->vtep, 16);
	memcpy(&out->ip.daddr, to->vtep, 16);
	out->udp.source = port;
	out->udp.dest = c->port;
	out->udp.len = bpf_htons(octets);
	out->vxlan.flags = VXLAN_I;
	out->vxlan.vni = bpf_htonl(vni << 8);
	sum += sum_of(c->vtep, 16) + sum_of(to->vtep, 16) + bpf_htons(octets) + bpf_htons(IPPROTO_UDP) + port + c->port +
	       bpf_htons(octets) + sum_of(&out->vxlan, sizeof(out->vxlan));
	out->udp.check = (__u16)~folded(sum) ?: 0xffff;
	memcpy(start + sizeof(*out), &inner, sizeof(inner));
	return bpf_redirect(hop->ifindex, 0);
}

/* Of the IP packet that a frame becomes when `more` octets are put before it: TOO_LONG and how long the tenant's may be. */
static __always_inline int fits(struct __sk_buff *skb, const struct next_hop *hop, __u32 more, __u32 *mtu)
{
	__u32 octets = skb->len + more;

	if (octets <= hop->mtu) return 0;
	*mtu = hop->mtu - more - ETH_HLEN;
	if (longest(skb) > *mtu) return TOO_LONG;
	return octets <= 0xffff ? 0 : BY_DEVICE;
}

/* VXLAN. @returns a verdict, BY_DEVICE, or TOO_LONG and the longest packet that it may be */
static __always_inline int by_hand(struct __sk_buff *skb, const struct config *c, __u32 vni, const struct place *to,
				   __u32 *mtu)
{
	struct ethhdr *eth = ethernet(skb);
	struct next_hop *hop;
	int not;

	if (!to->ifindex || !(c->flags & FAST_PATH)) return BY_DEVICE;
	hop = bpf_map_lookup_elem(&next_hops, &to->ifindex);
	if (!hop || !hop->ifindex || !eth) return BY_DEVICE;
	if (eth->h_proto != bpf_htons(ETH_P_IP) && eth->h_proto != bpf_htons(ETH_P_IPV6)) return BY_DEVICE;
	not = eth->h_proto == bpf_htons(ETH_P_IP) ? sizeof(struct iphdr) : sizeof(struct ipv6hdr);
	if (skb->len < ETH_HLEN + not) return BY_DEVICE; /* cut off in its header: as the device has it */
	if (to->type == REMOTE_V4) {
		not = fits(skb, hop, sizeof(struct vxlan_v4) - ETH_HLEN, mtu);
		return not ?: to_vxlan_v4(skb, c, vni, to, hop);
	}
	not = fits(skb, hop, sizeof(struct vxlan_v6) - ETH_HLEN, mtu);
	return not ?: to_vxlan_v6(skb, c, vni, to, hop);
}
