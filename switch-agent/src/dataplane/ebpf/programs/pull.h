/* SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only */
/* Pull (A18): whom the agent has to ask the NVA for, each shown once a second; and who is still spoken to. */
#pragma once
#include "glean.h"

/* A unicast frame of a place, for a MAC that is not known here. */
static __noinline int want_mac(struct __sk_buff *skb, __u32 vni, __u32 vid)
{
	struct sight_key key = { .vni = vni, .ifindex = skb->ifindex, .vid = vid, .what = SIGHT_WANTED };
	struct ethhdr *eth = ethernet(skb);

	if (!eth) return 0;
	memcpy(key.mac, eth->h_dest, 6);
	return sight(skb, &key, 0);
}

/* A frame of a place to a group: ARP and ND in it ask for an IP, soon to be spoken to. */
static __noinline int want_ip(struct __sk_buff *skb, __u32 vni, __u32 vid)
{
	struct sight_key key = { .vni = vni, .ifindex = skb->ifindex, .vid = vid, .what = SIGHT_WANTED_IP };
	struct ethhdr *eth = ethernet(skb);
	struct arp arp;
	struct nd nd;

	if (!eth) return 0;
	if (eth->h_proto == bpf_htons(ETH_P_ARP)) {
		if (bpf_skb_load_bytes(skb, sizeof(*eth), &arp, sizeof(arp)) || arp.op != bpf_htons(1)) return 0;
		if (bpf_skb_load_bytes(skb, sizeof(*eth) + 24, &key.address, 4)) return 0;
		return sight(skb, &key, 0);
	}
	if (eth->h_proto != bpf_htons(ETH_P_IPV6) || bpf_skb_load_bytes(skb, sizeof(*eth), &nd, sizeof(nd))) return 0;
	if (nd.next != 58 || nd.type != 135) return 0;
	key.address = nd.target[0] ^ nd.target[1] ^ nd.target[2] ^ nd.target[3];
	return sight(skb, &key, 0);
}

/* A frame of a place for a MAC behind the overlay. */
static __noinline int note_use(struct __sk_buff *skb, __u32 vni)
{
	struct sight_key key = { .vni = vni, .what = SIGHT_USED };
	struct ethhdr *eth = ethernet(skb);

	if (!eth) return 0;
	memcpy(key.mac, eth->h_dest, 6);
	return sight(skb, &key, 1);
}
