/* SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only */
/* ARP (RFC 826), Neighbour Discovery (RFC 4861) and RARP (RFC 903), answered in place of whom they ask for (P12, H11, M4).
 * Only what was asked of all is answered: who asks a MAC wants to hear of that one whether it lives. */
#pragma once
#include "sources.h"

struct neighbour_key { __u32 vni; __u32 ip[4]; };
struct neighbour { __u8 mac[6]; __u16 zero; };

/* IPs that exactly one MAC of the VN has. */
HASH(neighbours, struct neighbour_key, struct neighbour, 524288);

struct arp_frame { struct ethhdr eth; struct arp sender; __u8 target_mac[6]; __u8 target_ip[4]; } __attribute__((packed));
/* `pad`: so that what a checksum is made of lies on a boundary of 4. */
struct nd_frame { __u16 pad; struct ethhdr eth; struct nd nd; __u8 option, length, mac[6]; } __attribute__((packed, aligned(8)));

#define ND_OCTETS (sizeof(struct nd_frame) - 2)
/* Pseudo-header: the length of an advertisement and its protocol, 32 + 58. */
#define ND_PSEUDO 90
/* RFC 4861 4.4. R is never set: no router is answered for. */
#define ND_SOLICITED 0x40000000
#define ND_OVERRIDE 0x20000000

static __noinline int answer_arp(struct __sk_buff *skb, __u32 vni)
{
	struct neighbour_key key = { .vni = vni, .ip[2] = bpf_htonl(0xffff) };
	struct neighbour *owner;
	struct arp_frame f;
	__u8 asked[4];

	if (bpf_skb_load_bytes(skb, 0, &f, sizeof(f))) return 0;
	if (f.sender.hardware != bpf_htons(1) || f.sender.protocol != bpf_htons(ETH_P_IP)) return 0;
	if (f.sender.lengths[0] != 6 || f.sender.lengths[1] != 4 || f.sender.op != bpf_htons(1)) return 0;
	if (!same_mac(f.sender.mac, f.eth.h_source)) return 0;
	if (!__builtin_memcmp(f.sender.ip, f.target_ip, 4)) return 0; /* an announcement */
	if (!f.sender.ip[0]) return 0; /* a probe (RFC 5227): as below in ND */
	memcpy(&key.ip[3], f.target_ip, 4);
	owner = bpf_map_lookup_elem(&neighbours, &key);
	/* Whoever looks for its own IP wants to hear of others that have it. */
	if (!owner || same_mac(owner->mac, f.eth.h_source)) return 0;
	memcpy(asked, f.target_ip, 4);
	memcpy(f.target_mac, f.eth.h_source, 6);
	memcpy(f.target_ip, f.sender.ip, 4);
	memcpy(f.sender.mac, owner->mac, 6);
	memcpy(f.sender.ip, asked, 4);
	f.sender.op = bpf_htons(2);
	memcpy(f.eth.h_dest, f.eth.h_source, 6);
	memcpy(f.eth.h_source, owner->mac, 6);
	return !bpf_skb_store_bytes(skb, 0, &f, sizeof(f), BPF_F_INVALIDATE_HASH);
}

/* The checksum of the question is not looked at: of a VM beside us it may not be finished. */
static __noinline int answer_nd(struct __sk_buff *skb, __u32 vni)
{
	struct neighbour_key key = { .vni = vni };
	struct neighbour *owner;
	struct nd_frame f = {};
	__s64 sum;

	if (bpf_skb_load_bytes(skb, 0, &f.eth, sizeof(f.eth) + sizeof(f.nd))) return 0;
	if (f.nd.next != 58 || f.nd.hops != 255 || f.nd.type != 135 || f.nd.code) return 0;
	/* A test for duplicates (RFC 4862 5.4) is for whoever has it: what we know may be old, and would keep a host from its
	 * address. */
	if (!(f.nd.source[0] | f.nd.source[1] | f.nd.source[2] | f.nd.source[3])) return 0;
	/* A link-local address may be a router's, and a host that hears of its router as of none forgets the route (RFC 4861
	 * 7.2.5). A router's other addresses are not those by which hosts know it. */
	if ((f.nd.target[0] & bpf_htonl(0xffc00000)) == bpf_htonl(0xfe800000)) return 0;
	memcpy(key.ip, f.nd.target, 16);
	owner = bpf_map_lookup_elem(&neighbours, &key);
	if (!owner || same_mac(owner->mac, f.eth.h_source)) return 0;
	if (bpf_skb_change_tail(skb, ND_OCTETS, 0)) return 0;
	memcpy(f.nd.destination, f.nd.source, 16);
	memcpy(f.eth.h_dest, f.eth.h_source, 6);
	f.nd.flags = bpf_htonl(ND_SOLICITED | ND_OVERRIDE);
	memcpy(f.eth.h_source, owner->mac, 6);
	memcpy(f.nd.source, f.nd.target, 16);
	f.nd.start[4] = 0;
	f.nd.start[5] = 32;
	f.nd.type = ND_ADVERTISEMENT;
	f.option = 2; /* target link-layer address */
	f.length = 1;
	memcpy(f.mac, owner->mac, 6);
	f.nd.checksum = 0;
	sum = bpf_csum_diff(NULL, 0, (void *)f.nd.source, 64, bpf_htonl(ND_PSEUDO));
	if (sum < 0) return 0;
	sum = (sum & 0xffff) + ((__u32)sum >> 16);
	sum = (sum & 0xffff) + (sum >> 16);
	f.nd.checksum = ~sum;
	return !bpf_skb_store_bytes(skb, 0, &f.eth, ND_OCTETS, BPF_F_INVALIDATE_HASH);
}

/* A question to all, from a place. @returns 1: the frame is the answer now, without a tag */
static __always_inline int answer(struct __sk_buff *skb, const struct ethhdr *eth, __u32 vni)
{
	if (eth->h_proto == bpf_htons(ETH_P_ARP)) return answer_arp(skb, vni);
	if (eth->h_proto == bpf_htons(ETH_P_IPV6)) return answer_nd(skb, vni);
	return 0;
}

/* "Which IP have I?" of a MAC that is at home here and of which an IPv4 address is known. The question goes to all others
 * too: what virtual machines send when they have moved is such a question, and switches behind other places learn of it.
 * @returns 1: answered; the frame is what it was */
static __noinline int answer_rarp(struct __sk_buff *skb, __u32 vni, __u32 vid)
{
	struct fdb_key key = { .vni = vni };
	struct arp_frame question, f;
	struct place *home;
	int sent;

	if (bpf_skb_load_bytes(skb, 0, &question, sizeof(question))) return 0;
	f = question;
	if (f.sender.hardware != bpf_htons(1) || f.sender.protocol != bpf_htons(ETH_P_IP)) return 0;
	if (f.sender.lengths[0] != 6 || f.sender.lengths[1] != 4 || f.sender.op != bpf_htons(3)) return 0;
	if (!same_mac(f.target_mac, f.eth.h_source)) return 0; /* it asks for another */
	memcpy(key.mac, f.eth.h_source, 6);
	home = bpf_map_lookup_elem(&fdb, &key);
	if (!home || home->type != LOCAL || home->ifindex != skb->ifindex || home->vid != vid || !home->vtep[3]) return 0;
	memcpy(f.target_ip, &home->vtep[3], 4);
	memset(f.sender.ip, 0, 4);
	memcpy(f.eth.h_dest, f.eth.h_source, 6);
	memcpy(f.eth.h_source, ((__u8[]){ 0x02, 0x4e, 0x56, 0x45, 0, 0 }), 6);
	memcpy(f.sender.mac, f.eth.h_source, 6);
	f.sender.op = bpf_htons(4);
	if (bpf_skb_store_bytes(skb, 0, &f, sizeof(f), 0)) return 0;
	sent = !(vid && bpf_skb_vlan_push(skb, bpf_htons(ETH_P_8021Q), vid));
	if (sent && bpf_clone_redirect(skb, skb->ifindex, 0)) sent = 0;
	if (vid && skb->vlan_present) bpf_skb_vlan_pop(skb);
	bpf_skb_store_bytes(skb, 0, &question, sizeof(question), 0);
	return sent;
}
