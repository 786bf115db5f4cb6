/* SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only */
/* The virtual switch of a server: puts the lent tag in the place of the guest's own, and the other way round.
 * ../maps.ts has the same layouts. A guest tag of 0 stands for untagged and priority-tagged frames.
 *
 *   VM interface -> vm_port   -> {interface, source MAC, guest tag} -> {uplink, VID}
 *                                -> other VM of the VID with its guest tag, or uplink with the VID
 *   uplink       -> vm_uplink -> {uplink, VID, MAC} -> {VM interface, guest tag}; what is not ours goes to the host
 */
#include <nve-frame.h>

/* No padding in keys: it would be hashed too. */
struct binding_key { __u32 ifindex; __u8 mac[6]; __u16 guest_tag; };
struct segment { __u32 uplink; __u32 vid; };
struct station_key { __u32 uplink; __u16 vid; __u8 mac[6]; };
struct segment_value { __u32 n; __u32 generation; };
struct flood_key { __u32 uplink; __u32 vid; __u32 generation; __u32 at; };
struct vm { __u32 ifindex; __u32 guest_tag; };
struct port_counters { __u64 in, out; };

HASH(bindings, struct binding_key, struct segment, 131072);
HASH(guest_tags, struct vm, __u32, 16384);
HASH(stations, struct station_key, struct vm, 131072);
HASH(segments, struct segment, struct segment_value, 16384);
HASH(flood, struct flood_key, struct vm, 65536);
PERCPU_HASH(port_counts, __u32, struct port_counters, 16384);

/* In the order of `dropReasons` in ../maps.ts. */
enum reason { UNKNOWN_GUEST_TAG, UNTAGGED, NOT_BOUND, LINK_LOCAL, MALFORMED, HAIRPIN, DOUBLE_TAGGED, REASONS };

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, REASONS);
	__type(key, __u32);
	__type(value, __u64);
} drops SEC(".maps");

static __always_inline void count_in(__u32 ifindex)
{
	struct port_counters *count = bpf_map_lookup_elem(&port_counts, &ifindex);

	if (count) count->in += 1;
}

static __always_inline void count_out(__u32 ifindex)
{
	struct port_counters *count = bpf_map_lookup_elem(&port_counts, &ifindex);

	if (count) count->out += 1;
}

static __always_inline int is_vlan(const struct ethhdr *eth)
{
	return eth->h_proto == bpf_htons(ETH_P_8021Q) || eth->h_proto == bpf_htons(ETH_P_8021AD);
}

struct flooding {
	struct __sk_buff *skb;
	struct segment segment;
	__u32 generation, from;
};

static long flood_one(__u32 at, struct flooding *f)
{
	struct flood_key key = {
		.uplink = f->segment.uplink, .vid = f->segment.vid, .generation = f->generation, .at = at,
	};
	struct vm *to = bpf_map_lookup_elem(&flood, &key);

	if (!to || to->ifindex == f->from) return 0;
	if (to->guest_tag && bpf_skb_vlan_push(f->skb, bpf_htons(ETH_P_8021Q), to->guest_tag)) return 0;
	if (!bpf_clone_redirect(f->skb, to->ifindex, 0)) count_out(to->ifindex);
	if (to->guest_tag && bpf_skb_vlan_pop(f->skb)) return 1; /* no copy more with another's tag in it */
	return 0;
}

/* One copy, with the tag of that guest, for each VM interface of the segment but the one that the bare frame came from. */
static __always_inline void flood_local(struct __sk_buff *skb, const struct segment *segment, __u32 from)
{
	struct segment_value *value = bpf_map_lookup_elem(&segments, segment);
	struct flooding f = { .skb = skb, .segment = *segment, .from = from };

	if (!value) return;
	f.generation = value->generation;
	bpf_loop(value->n, flood_one, &f, 0);
}

static __always_inline struct vm *station(const struct segment *segment, const __u8 *mac)
{
	struct station_key key = { .uplink = segment->uplink, .vid = segment->vid };

	memcpy(key.mac, mac, 6);
	return bpf_map_lookup_elem(&stations, &key);
}

/* To the VM, with its guest's tag. */
static __always_inline int deliver(struct __sk_buff *skb, const struct vm *to)
{
	if (to->guest_tag && bpf_skb_vlan_push(skb, bpf_htons(ETH_P_8021Q), to->guest_tag)) return DROP(MALFORMED);
	count_out(to->ifindex);
	return bpf_redirect(to->ifindex, 0);
}

/* Why a VM's frame is of no binding. */
static __always_inline enum reason unbound(const struct binding_key *key)
{
	struct vm vm = { .ifindex = key->ifindex, .guest_tag = key->guest_tag };

	if (bpf_map_lookup_elem(&guest_tags, &vm)) return NOT_BOUND;
	return key->guest_tag ? UNKNOWN_GUEST_TAG : UNTAGGED;
}

SEC("tc")
int vm_port(struct __sk_buff *skb)
{
	struct ethhdr *eth = ethernet(skb);
	struct binding_key key = { .ifindex = skb->ifindex };
	struct segment *bound, segment;
	struct vm *to;

	if (!eth) return DROP(MALFORMED);
	/* The outer tag is in the metadata: the kernel has taken it out of the octets. */
	if (is_vlan(eth)) return DROP(DOUBLE_TAGGED);
	if (skb->vlan_present) {
		if (skb->vlan_proto != bpf_htons(ETH_P_8021Q)) return DROP(UNKNOWN_GUEST_TAG);
		key.guest_tag = vid_of(skb);
	}
	memcpy(key.mac, eth->h_source, 6);
	bound = bpf_map_lookup_elem(&bindings, &key);
	if (!bound) return DROP(unbound(&key));
	if (is_link_local(eth->h_dest)) return DROP(LINK_LOCAL);
	segment = *bound;
	count_in(skb->ifindex);
	if (skb->vlan_present && bpf_skb_vlan_pop(skb)) return DROP(MALFORMED);
	eth = ethernet(skb);
	if (!eth) return DROP(MALFORMED);
	if (is_group(eth->h_dest)) {
		flood_local(skb, &segment, skb->ifindex);
		if (skb->vlan_present) return DROP(MALFORMED); /* a guest's tag stayed on */
	} else {
		to = station(&segment, eth->h_dest);
		if (to) {
			if (to->ifindex == skb->ifindex) return DROP(HAIRPIN);
			return deliver(skb, to);
		}
	}
	if (bpf_skb_vlan_push(skb, bpf_htons(ETH_P_8021Q), segment.vid)) return DROP(MALFORMED);
	return bpf_redirect(segment.uplink, 0);
}

SEC("tc")
int vm_uplink(struct __sk_buff *skb)
{
	struct segment segment = { .uplink = skb->ifindex };
	struct ethhdr *eth;
	struct vm *to;

	if (!skb->vlan_present || skb->vlan_proto != bpf_htons(ETH_P_8021Q)) return TC_ACT_OK;
	segment.vid = vid_of(skb);
	if (!bpf_map_lookup_elem(&segments, &segment)) return TC_ACT_OK; /* the host's own VLAN, or nobody's */
	if (bpf_skb_vlan_pop(skb)) return DROP(MALFORMED);
	eth = ethernet(skb);
	if (!eth) return DROP(MALFORMED);
	if (is_tagged(skb, eth)) return DROP(DOUBLE_TAGGED);
	if (is_link_local(eth->h_dest)) return DROP(LINK_LOCAL);
	if (!is_group(eth->h_dest)) {
		to = station(&segment, eth->h_dest);
		if (to) return deliver(skb, to);
	}
	flood_local(skb, &segment, 0);
	return TC_ACT_SHOT;
}

char _license[] SEC("license") = "GPL";
