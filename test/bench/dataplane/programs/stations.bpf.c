/* SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only */
/* The bench's hypervisors, which give frames a tag and take it off, and its floor, which only passes them on. In each
 * namespace `left` is interface 10 and `right` interface 11. */
#include <linux/bpf.h>
#include <linux/if_ether.h>
#include <linux/pkt_cls.h>
#include <bpf/bpf_endian.h>
#include <bpf/bpf_helpers.h>

#define LEFT 10
#define RIGHT 11
#define TAG bpf_htons(ETH_P_8021Q)

SEC("tc") int to_left(struct __sk_buff *skb) { return bpf_redirect(LEFT, 0); }
SEC("tc") int to_right(struct __sk_buff *skb) { return bpf_redirect(RIGHT, 0); }

SEC("tc") int tag_to_right(struct __sk_buff *skb)
{
	return bpf_skb_vlan_push(skb, TAG, 10) ? TC_ACT_SHOT : bpf_redirect(RIGHT, 0);
}

SEC("tc") int tag_to_left(struct __sk_buff *skb)
{
	return bpf_skb_vlan_push(skb, TAG, 30) ? TC_ACT_SHOT : bpf_redirect(LEFT, 0);
}

SEC("tc") int untag_to_left(struct __sk_buff *skb)
{
	return bpf_skb_vlan_pop(skb) ? TC_ACT_SHOT : bpf_redirect(LEFT, 0);
}

SEC("tc") int untag_to_right(struct __sk_buff *skb)
{
	return bpf_skb_vlan_pop(skb) ? TC_ACT_SHOT : bpf_redirect(RIGHT, 0);
}

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, __u64);
} counted SEC(".maps");

/* The receiver of what `traffic send` sends: UDP to port 9. All else is the stack's. */
SEC("tc") int sink(struct __sk_buff *skb)
{
	__u8 *at = (void *)(long)skb->data;
	__u32 zero = 0;
	__u64 *count;

	if (at + 42 > (__u8 *)(long)skb->data_end) return TC_ACT_OK;
	if (at[12] != 8 || at[13] || at[23] != 17 || at[36] || at[37] != 9) return TC_ACT_OK;
	count = bpf_map_lookup_elem(&counted, &zero);
	if (count) *count += 1;
	return TC_ACT_SHOT;
}

char _license[] SEC("license") = "GPL";
