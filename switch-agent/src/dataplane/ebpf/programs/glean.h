/* SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only */
/* Gleaning (H16): what the agent is shown of a place's frames. The same is shown once a second, and a port shows so
 * many at a time; what is too much is counted. What is believed is the agent's to decide. */
#pragma once
#include "tor.h"

#define SECOND 1000000000ULL
/* Samples of one port in a tenth of a second. */
#define BURST 32
#define BURST_NS 100000000ULL

struct arp { __u16 hardware, protocol; __u8 lengths[2]; __u16 op; __u8 mac[6]; __u8 ip[4]; } __attribute__((packed));
/* IPv6 with an ICMPv6 Neighbour Solicitation or Advertisement, up to its target. */
struct nd {
	__u8 start[6], next, hops;
	__u32 source[4], destination[4];
	__u8 type, code;
	__u16 checksum;
	__u32 flags, target[4];
} __attribute__((packed));

static __always_inline int may_show(__u32 ifindex, __u64 now)
{
	struct gauge *gauge = bpf_map_lookup_elem(&gauges, &ifindex), fresh = { .since = now, .shown = 1 };

	if (!gauge) return !bpf_map_update_elem(&gauges, &ifindex, &fresh, BPF_ANY);
	if (now - gauge->since > BURST_NS) {
		gauge->since = now;
		gauge->shown = 0;
	}
	if (gauge->shown >= BURST) return 0;
	__sync_fetch_and_add(&gauge->shown, 1);
	return 1;
}

/* @returns 1 when the agent will see it. */
static __noinline int show(struct __sk_buff *skb, struct sight_key *key, __u64 now)
{
	__u32 zero = 0, length = skb->len, wanted = key->what >= SIGHT_WANTED;
	struct sample *sample = bpf_map_lookup_elem(&scratch, &zero);

	if (!sample || length < sizeof(struct ethhdr)) return 0;
	if (length > SAMPLE_OCTETS) length = SAMPLE_OCTETS;
	sample->vni = key->vni;
	sample->ifindex = key->ifindex;
	sample->vid = key->vid;
	sample->length = length;
	sample->wanted = wanted;
	/* A port has as many again of those that are looked for. */
	if (!may_show(key->ifindex | wanted << 31, now) || bpf_skb_load_bytes(skb, 0, sample->octets, length) ||
	    bpf_map_push_elem(&samples, sample, 0)) {
		if (wanted) (void)DROP(PULL_OVERRUN);
		else (void)DROP(GLEAN_OVERRUN);
		return 0;
	}
	return 1;
}

/* Notes the time, and shows it if it is news: `known` things are none. */
static __noinline int sight(struct __sk_buff *skb, struct sight_key *key, int known)
{
	struct sight *sight = bpf_map_lookup_elem(&sights, key), fresh = {};
	__u64 now = bpf_ktime_get_coarse_ns();

	if (!sight) {
		fresh.seen = now;
		if (!known && show(skb, key, now)) fresh.shown = now;
		return bpf_map_update_elem(&sights, key, &fresh, BPF_ANY);
	}
	if (now - sight->seen > SECOND) sight->seen = now;
	if (known || now - sight->shown < SECOND) return 0;
	if (show(skb, key, now)) sight->shown = now;
	return 0;
}

/* A frame of a gleaning place: its source, and what ARP and ND say in it. */
static __noinline int glean(struct __sk_buff *skb, __u32 vni, __u32 vid, int known)
{
	struct sight_key key = { .vni = vni, .ifindex = skb->ifindex, .vid = vid };
	struct ethhdr *eth = ethernet(skb);
	struct arp arp;
	struct nd nd;

	if (!eth || is_group(eth->h_source)) return 0;
	memcpy(key.mac, eth->h_source, 6);
	sight(skb, &key, known);
	eth = ethernet(skb);
	if (!eth) return 0;
	if (eth->h_proto == bpf_htons(ETH_P_ARP)) {
		if (bpf_skb_load_bytes(skb, sizeof(*eth), &arp, sizeof(arp))) return 0;
		key.what = SIGHT_ARP;
		memcpy(&key.address, arp.ip, 4);
		return sight(skb, &key, 0);
	}
	if (eth->h_proto != bpf_htons(ETH_P_IPV6)) return 0;
	if (bpf_skb_load_bytes(skb, sizeof(*eth), &nd, sizeof(nd))) return 0;
	if (nd.next != 58 || (nd.type != 135 && nd.type != 136)) return 0;
	key.what = SIGHT_ND;
	key.address = nd.source[0] ^ nd.source[1] ^ nd.source[2] ^ nd.source[3] ^
		      nd.target[0] ^ nd.target[1] ^ nd.target[2] ^ nd.target[3];
	return sight(skb, &key, 0);
}

/* What a DHCP server says (RFC 2131, RFC 8415), from wherever in the VN: seldom, so all of it is shown. */
static __noinline int glean_leases(struct __sk_buff *skb, __u32 vni, __u32 ifindex, __u32 vid)
{
	struct { __u8 first, tos; __u16 length, id, fragment; __u8 ttl, protocol; } ip4;
	struct { __u16 source, destination; } udp;
	struct sight_key key = { .vni = vni, .ifindex = ifindex, .vid = vid };
	struct ethhdr *eth = ethernet(skb);
	__u32 at = sizeof(*eth);
	__u8 next;

	if (!eth) return 0;
	if (eth->h_proto == bpf_htons(ETH_P_IP)) {
		if (bpf_skb_load_bytes(skb, at, &ip4, sizeof(ip4)) || ip4.protocol != 17) return 0;
		if (ip4.fragment & bpf_htons(0x3fff)) return 0;
		at += (ip4.first & 15) * 4;
	} else if (eth->h_proto == bpf_htons(ETH_P_IPV6)) {
		if (bpf_skb_load_bytes(skb, at + 6, &next, 1) || next != 17) return 0;
		at += 40;
	} else {
		return 0;
	}
	if (bpf_skb_load_bytes(skb, at, &udp, sizeof(udp))) return 0;
	if ((udp.source == bpf_htons(67) && udp.destination == bpf_htons(68)) ||
	    (udp.source == bpf_htons(547) && udp.destination == bpf_htons(546)))
		return show(skb, &key, bpf_ktime_get_coarse_ns());
	return 0;
}
