/* SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only */
/* Whose IP it is (M10): what a MAC here sends as its own must be one of those that were said of it. 0.0.0.0 and :: are
 * nobody's (DHCP, ARP probes, DAD), and the link-local IPv6 address that is made of the MAC is its own. IPs as in tor.h. */
#pragma once
#include "glean.h"

struct source_key { __u32 vni; __u8 mac[6]; __u16 zero; __u32 ip[4]; };
/* `length`: bits of the rest of the key that count: 96 and those of the prefix (IPv4: 96 more). */
struct source_net_key { __u32 length; struct source_key of; };

HASH(sources, struct source_key, __u32, 131072);

struct {
	__uint(type, BPF_MAP_TYPE_LPM_TRIE);
	__uint(max_entries, 65536);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, struct source_net_key);
	__type(value, __u32);
} source_nets SEC(".maps");

#define ICMPV6 58
#define ND_ADVERTISEMENT 136
/* More extension headers than this nobody sends. */
#define EXTENSIONS 6

static __always_inline int same_mac(const __u8 *a, const __u8 *b)
{
	return a[0] == b[0] && a[1] == b[1] && a[2] == b[2] && a[3] == b[3] && a[4] == b[4] && a[5] == b[5];
}

/* fe80::/64 and the MAC as in RFC 4291 appendix A. */
static __always_inline int is_eui64(const __u32 *ip, const __u8 *m)
{
	return ip[0] == bpf_htonl(0xfe800000) && !ip[1] &&
	       ip[2] == bpf_htonl((__u32)(m[0] ^ 2) << 24 | (__u32)m[1] << 16 | (__u32)m[2] << 8 | 0xff) &&
	       ip[3] == bpf_htonl(0xfe000000 | (__u32)m[3] << 16 | (__u32)m[4] << 8 | m[5]);
}

static __noinline int owns(struct source_key *key, __u32 flags)
{
	struct source_net_key net = { .length = 8 * sizeof(*key) };
	const __u32 *ip = key->ip;

	if (!ip[0] && !ip[1] && (ip[2] == bpf_htonl(0xffff) || !ip[2]) && !ip[3]) return 1;
	if (is_eui64(ip, key->mac) || bpf_map_lookup_elem(&sources, key)) return 1;
	if (!(flags & HAS_NETS)) return 0;
	memcpy(&net.of, key, sizeof(*key));
	return bpf_map_lookup_elem(&source_nets, &net) != NULL;
}

/* The sender that ARP names, by both its addresses. */
static __noinline int owns_arp(struct __sk_buff *skb, struct source_key *key, __u32 flags)
{
	struct arp arp;

	if (bpf_skb_load_bytes(skb, sizeof(struct ethhdr), &arp, sizeof(arp))) return 0;
	if (arp.hardware != bpf_htons(1) || arp.protocol != bpf_htons(ETH_P_IP)) return 0;
	if (arp.lengths[0] != 6 || arp.lengths[1] != 4 || !same_mac(arp.mac, key->mac)) return 0;
	memcpy(&key->ip[3], arp.ip, 4);
	return owns(key, flags);
}

/* The source; and what a Neighbour Advertisement is about, which no extension header may hide (RFC 6980, RFC 7113). */
static __noinline int owns_ip6(struct __sk_buff *skb, struct source_key *key, __u32 flags)
{
	__u32 at = sizeof(struct ethhdr);
	__u8 header[8], next;
	int i;

	if (bpf_skb_load_bytes(skb, at, header, 8) || bpf_skb_load_bytes(skb, at + 8, key->ip, 16)) return 0;
	if (!owns(key, flags)) return 0;
	next = header[6];
	at += 40;
	for (i = 0; i < EXTENSIONS; i++) {
		if (next == ICMPV6) break;
		if (next != 0 && next != 43 && next != 44 && next != 60) return 1; /* hop-by-hop, routing, fragment, options */
		if (bpf_skb_load_bytes(skb, at, header, 8)) return 0;
		if (next == 44 && (header[3] & 0xf8 || header[2])) return 1; /* not the first fragment */
		at += next == 44 ? 8 : (header[1] + 1) * 8;
		next = header[0];
	}
	if (i == EXTENSIONS || bpf_skb_load_bytes(skb, at, header, 1)) return 0;
	if (header[0] != ND_ADVERTISEMENT) return 1;
	if (i > 0 || bpf_skb_load_bytes(skb, at + 8, key->ip, 16)) return 0;
	return owns(key, flags);
}

/* @returns 0: the frame says an IP that its source, at home here, does not have */
static __noinline int check_ips(struct __sk_buff *skb, __u32 vni, __u32 flags)
{
	struct source_key key = { .vni = vni };
	struct ethhdr *eth = ethernet(skb);

	if (!eth) return 0;
	memcpy(key.mac, eth->h_source, 6);
	if (eth->h_proto == bpf_htons(ETH_P_IPV6)) return owns_ip6(skb, &key, flags);
	key.ip[2] = bpf_htonl(0xffff);
	if (eth->h_proto == bpf_htons(ETH_P_ARP)) return owns_arp(skb, &key, flags);
	if (eth->h_proto != bpf_htons(ETH_P_IP)) return 1;
	return !bpf_skb_load_bytes(skb, sizeof(*eth) + 12, &key.ip[3], 4) && owns(&key, flags);
}

/* As nearly always: an IPv4 packet from the first IP of its MAC, which stands in the place (no map to be asked). */
static __always_inline int is_first_ip(struct __sk_buff *skb, const struct ethhdr *eth, const struct place *home)
{
	const __u32 *source = (const void *)eth + sizeof(*eth) + 12;

	if (eth->h_proto != bpf_htons(ETH_P_IP) || (void *)(source + 1) > (void *)(long)skb->data_end) return 0;
	return *source == home->vtep[3];
}
