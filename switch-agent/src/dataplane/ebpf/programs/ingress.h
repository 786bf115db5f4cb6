/* SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only */
/* Where a frame came in, and what is known of it by then. */
#pragma once
#include "capture.h"
#include "meters.h"

/* `flags`: of the access. `owner`, `port`: of whom it is counted; from the overlay `port` is the other NVE.
 * `denied`: RULE_TO_VNIC, if the ACL says so. `mtu`: of the VN, 0: none. From the overlay, `came` is the other NVE's
 * address, and `ttl` what was left of its packet's. For captures: `copies` as there, and the place that it is for. */
struct ingress {
	__u32 vni, ifindex, vid, overlay, flags, owner, port, denied, mtu, ttl, copies;
	const __u32 *came;
	const struct place *to;
};

#define DROP_FROM(from, reason) drop_of((from)->owner, (from)->port, reason, SLOT_OF(reason))

static __always_inline struct config *configuration(void)
{
	__u32 zero = 0;

	return bpf_map_lookup_elem(&config, &zero);
}

/* A place without a tag has vid 0. */
static __always_inline long tag_for(struct __sk_buff *skb, const struct place *to)
{
	return to->vid ? bpf_skb_vlan_push(skb, bpf_htons(ETH_P_8021Q), to->vid) : 0;
}

/* The frame is an answer: back to the place that asked. */
static __always_inline int send_back(struct __sk_buff *skb, const struct ingress *from, struct vn_counters *count)
{
	if (from->vid && bpf_skb_vlan_push(skb, bpf_htons(ETH_P_8021Q), from->vid)) return DROP(MALFORMED);
	count->access_out += 1;
	return bpf_redirect(from->ifindex, 0);
}
