/* SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only */
/* The virtual switch of a server: gives the lent tag to a VM's frames and takes it off on the way back.
 * ../maps.ts has the same layouts.
 *
 *   VM interface -> vm_port   -> {interface, source MAC} -> {uplink, VID} -> other VM of the VID, or uplink, tagged
 *   uplink       -> vm_uplink -> {uplink, VID, MAC} -> VM interface; what is not ours goes to the host
 */
#include <nve-frame.h>

/* No padding in keys: it would be hashed too. */
struct binding_key { __u32 ifindex; __u8 mac[6]; __u16 zero; };
struct segment { __u32 uplink; __u32 vid; };
struct station_key { __u32 uplink; __u16 vid; __u8 mac[6]; };
struct segment_value { __u32 n; __u32 generation; };
struct flood_key { __u32 uplink; __u32 vid; __u32 generation; __u32 at; };
struct port_counters { __u64 in, out; };

HASH(bindings, struct binding_key, struct segment, 16384);
HASH(stations, struct station_key, __u32, 16384);
HASH(segments, struct segment, struct segment_value, 16384);
HASH(flood, struct flood_key, __u32, 65536);
PERCPU_HASH(port_counts, __u32, struct port_counters, 16384);

/* In the order of `dropReasons` in ../maps.ts. */
enum reason { TAGGED, NOT_BOUND, LINK_LOCAL, MALFORMED, HAIRPIN, DOUBLE_TAGGED, REASONS };

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
	__u32 *to = bpf_map_lookup_elem(&flood, &key);

	if (!to || *to == f->from) return 0;
	if (!bpf_clone_redirect(f->skb, *to, 0)) count_out(*to);
	return 0;
}

/* One bare copy for each VM interface of the segment but the one it came from. */
static __always_inline void flood_local(struct __sk_buff *skb, const struct segment *segment, __u32 from)
{
	struct segment_value *value = bpf_map_lookup_elem(&segments, segment);
	struct flooding f = { .skb = skb, .segment = *segment, .from = from };

	if (!value) return;
	f.generation = value->generation;
	bpf_loop(value->n, flood_one, &f, 0);
}

static __always_inline __u32 *station(const struct segment *segment, const __u8 *mac)
{
	struct station_key key = { .uplink = segment->uplink, .vid = segment->vid };

	memcpy(key.mac, mac, 6);
	return bpf_map_lookup_elem(&stations, &key);
}

SEC("tc")
int vm_port(struct __sk_buff *skb)
{
	struct ethhdr *eth = ethernet(skb);
	struct binding_key key = { .ifindex = skb->ifindex };
	struct segment *bound, segment;
	__u32 *to;

	if (!eth) return DROP(MALFORMED);
	if (is_tagged(skb, eth)) return DROP(TAGGED);
	memcpy(key.mac, eth->h_source, 6);
	bound = bpf_map_lookup_elem(&bindings, &key);
	if (!bound) return DROP(NOT_BOUND);
	if (is_link_local(eth->h_dest)) return DROP(LINK_LOCAL);
	segment = *bound;
	count_in(skb->ifindex);
	if (is_group(eth->h_dest)) {
		flood_local(skb, &segment, skb->ifindex);
	} else {
		to = station(&segment, eth->h_dest);
		if (to) {
			if (*to == skb->ifindex) return DROP(HAIRPIN);
			count_out(*to);
			return bpf_redirect(*to, 0);
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
	__u32 *to;

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
		if (to) {
			count_out(*to);
			return bpf_redirect(*to, 0);
		}
	}
	flood_local(skb, &segment, 0);
	return TC_ACT_SHOT;
}

char _license[] SEC("license") = "GPL";
