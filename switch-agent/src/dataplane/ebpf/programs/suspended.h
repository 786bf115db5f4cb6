/* SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only */
/* Packets for a MAC whose user is suspended, or which has left and arrived nowhere yet (M8): dropped, or their senders are
 * told that the host cannot be reached, in its name, whichever NVE they are behind. */
#pragma once
#include "device.h"
#include "gre.h"
#include "ingress.h"

/* What comes from other NVEs has one bucket in each VN, in place of the tag. */
#define FROM_OVERLAY 0xffff

/* Where a MAC is, behind the overlay. */
static __always_inline const struct place *over(__u32 vni, const __u8 *mac)
{
	struct fdb_key key = { .vni = vni };
	struct place *at;

	memcpy(key.mac, mac, 6);
	at = bpf_map_lookup_elem(&fdb, &key);
	return at && (at->type == REMOTE_V4 || at->type == REMOTE_V6) ? at : NULL;
}

/* @param vid of the place that it comes from, or FROM_OVERLAY. @returns 1: the frame is the answer now, without a tag. Global,
 * so that the kernel verifies it once and not on each way that leads to it. */
__noinline int tell_unreachable(struct __sk_buff *skb, __u32 vni, __u32 vid)
{
	struct bucket_key key = { .ifindex = skb->ifindex, .vid = vid, .kind = LIMIT_OF_UNREACHABLE };
	struct ethhdr *eth = ethernet(skb);
	__u16 type;

	if (!eth || is_group(eth->h_dest)) return 0;
	type = eth->h_proto;
	if (type != bpf_htons(ETH_P_IP) && type != bpf_htons(ETH_P_IPV6)) return 0;
	if (vid == FROM_OVERLAY) {
		key.ifindex = vni;
		if (!over(vni, eth->h_source)) return 0;
	}
	if (!spend(&key, TELL_INTERVAL, TELL_AHEAD)) return 0;
	return type == bpf_htons(ETH_P_IP) ? tell_v4(skb, 0) : tell_v6(skb, 0);
}

/* A function of its own, so that its key is not on the stack beside what to_gre has there. */
static __noinline int to_device(struct __sk_buff *skb, const struct config *c, __u32 vni, const struct place *to)
{
	if (!c || !to || set_tunnel(skb, c, vni, to, TTL)) return DROP(TUNNEL_ERROR);
	return bpf_redirect(c->tunnel, 0);
}

/* The answer, to another NVE: by the tunnel device, or in GRE. @returns a verdict. Global, too. */
__noinline int answer_over(struct __sk_buff *skb, __u32 vni)
{
	struct vn_counters *count = bpf_map_lookup_elem(&vn_counts, &vni);
	const struct config *c = configuration();
	struct ethhdr *eth = ethernet(skb);
	const struct place *to = eth ? over(vni, eth->h_dest) : NULL;
	__u32 octets = skb->len;
	int verdict;

	if (!count || !c || !to) return DROP(NOT_READY);
	verdict = to->encapsulation == VXLAN ? to_device(skb, c, vni, to) : to_gre(skb, c, TTL << 24 | vni, to, NULL);
	if (verdict != TC_ACT_REDIRECT) return verdict;
	count->overlay_out += 1;
	if (c->flags & METERED) meter_out(to->owner, octets);
	return verdict | REASON(SUSPENDED_TOLD);
}
