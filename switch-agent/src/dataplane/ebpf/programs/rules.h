/* SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only */
/* A VN's profile (H25): its ACL, how much a VNIC may send, and the DSCP of its packets. */
#pragma once
#include "limits.h"
#include "meters.h"
#include "outer.h"

/* What a rule looks at. RULE_V4, RULE_V6: a prefix is of that family, so that it is for packets of it alone. */
#define RULE_DENY 1
#define RULE_FROM_VNIC 2
#define RULE_TO_VNIC 4
#define RULE_ETHER_TYPE 8
#define RULE_PROTOCOL 16
#define RULE_PORTS 32
#define RULE_V4 64
#define RULE_V6 128
#define RULE_SOURCE 256
#define RULE_DESTINATION 512
#define RULE_SOURCE_PORTS 1024
#define RULE_DESTINATION_PORTS 2048

/* IPs and masks as in tor.h; all else in the order of the CPU. Both ends of port ranges belong to them. */
struct rule {
	__u32 source[4], source_mask[4], destination[4], destination_mask[4];
	__u16 flags, ether_type;
	__u16 source_ports[2], destination_ports[2];
	__u8 protocol, source_length, destination_length, zero;
};

/* Of frames: IPv4 and IPv6, of TCP, UDP and other protocols; and all that is no IP. Same in ../rules.ts. */
enum { CLASS_V4 = 0, CLASS_V6 = 3, CLASS_NO_IP = 6 };
enum { CLASS_TCP = 0, CLASS_UDP = 1, CLASS_OTHER = 2 };

/* A list is in pieces, so that a short one is one look-up. */
#define PIECE 16
#define PIECES 16
struct rules_key { __u32 vni, generation, at; };
/* `passed_over`: by CLASS_*, a bit for each rule that no such frame matches. */
struct rules_piece { struct rule rule[PIECE]; __u16 passed_over[8]; };
HASH(rules, struct rules_key, struct rules_piece, 65536);

/* What is known of a frame. */
#define HAS_IP 1
#define HAS_PROTOCOL 2
#define HAS_PORTS 4
struct flow {
	__u32 source[4], destination[4];
	__u16 ether_type, source_port, destination_port;
	__u8 protocol, has;
};

/* Headers after IPv6's own that are looked behind: more than RFC 8200 4.1 lists. */
#define HEADERS 8
#define HEADER_HOP_BY_HOP 0
#define HEADER_ROUTING 43
#define HEADER_FRAGMENT 44
#define HEADER_AUTHENTICATION 51
#define HEADER_OPTIONS 60

static __always_inline int with_ports(__u8 protocol)
{
	return protocol == IPPROTO_TCP || protocol == IPPROTO_UDP || protocol == IPPROTO_SCTP || protocol == IPPROTO_UDPLITE ||
	       protocol == IPPROTO_DCCP;
}

/* @returns 0; or not: the packet ends where its ports should be */
static __always_inline int read_ports(struct __sk_buff *skb, struct flow *f, __u32 at)
{
	__u16 ports[2];

	f->has |= HAS_PROTOCOL;
	if (!with_ports(f->protocol)) return 0;
	if (bpf_skb_load_bytes(skb, at, ports, sizeof(ports))) return -1;
	f->source_port = bpf_ntohs(ports[0]);
	f->destination_port = bpf_ntohs(ports[1]);
	f->has |= HAS_PORTS;
	return 0;
}

static __always_inline int read_flow4(struct __sk_buff *skb, struct flow *f)
{
	void *start = (void *)(long)skb->data, *end = (void *)(long)skb->data_end;
	struct iphdr *ip = start + ETH_HLEN, copy;
	__u32 ports;

	if ((void *)(ip + 1) + sizeof(ports) > end) {
		if (bpf_skb_load_bytes(skb, ETH_HLEN, &copy, sizeof(copy))) return -1;
		ip = &copy;
	}
	if (*(__u8 *)ip >> 4 != 4 || (*(__u8 *)ip & 15) < 5) return -1;
	f->has = HAS_IP;
	f->source[2] = f->destination[2] = bpf_htonl(0xffff);
	f->source[3] = ip->saddr;
	f->destination[3] = ip->daddr;
	f->protocol = ip->protocol;
	if (ip->frag_off & bpf_htons(0x1fff)) {
		f->has |= HAS_PROTOCOL;
		return 0;
	}
	if (ip == &copy || *(__u8 *)ip != 0x45 || !with_ports(f->protocol))
		return read_ports(skb, f, ETH_HLEN + (*(__u8 *)ip & 15) * 4);
	/* As nearly always: no options, and the ports are at hand. */
	ports = *(__u32 *)(ip + 1);
	f->source_port = bpf_ntohs(ports);
	f->destination_port = bpf_ntohs(ports >> 16);
	f->has |= HAS_PROTOCOL | HAS_PORTS;
	return 0;
}

struct headers { struct __sk_buff *skb; struct flow *flow; __u32 at; __s32 found; };

/* @returns 1: it was the last, or cannot be read */
static long look_behind(__u32 i, struct headers *h)
{
	__u8 header[4], is = h->flow->protocol;

	if (is != HEADER_HOP_BY_HOP && is != HEADER_ROUTING && is != HEADER_FRAGMENT && is != HEADER_AUTHENTICATION &&
	    is != HEADER_OPTIONS) {
		h->found = 1;
		return 1;
	}
	if (bpf_skb_load_bytes(h->skb, h->at, header, sizeof(header))) return 1;
	h->flow->protocol = header[0];
	if (is == HEADER_FRAGMENT) {
		h->at += 8;
		if (!(header[3] & 0xf8) && !header[2]) return 0;
		h->found = 2; /* not the first */
		return 1;
	}
	h->at += is == HEADER_AUTHENTICATION ? (header[1] + 2) * 4 : (header[1] + 1) * 8;
	return 0;
}

static __always_inline int read_flow6(struct __sk_buff *skb, struct flow *f)
{
	struct headers h = { .skb = skb, .flow = f, .at = ETH_HLEN + sizeof(struct ipv6hdr) };
	__u8 header[8];

	if (bpf_skb_load_bytes(skb, ETH_HLEN, header, 8) || header[0] >> 4 != 6) return -1;
	if (bpf_skb_load_bytes(skb, ETH_HLEN + 8, f->source, 32)) return -1;
	f->has = HAS_IP;
	f->protocol = header[6];
	bpf_loop(HEADERS + 1, look_behind, &h, 0);
	if (!h.found) return -1;
	if (h.found == 1) return read_ports(skb, f, h.at);
	f->has |= HAS_PROTOCOL;
	return 0;
}

static __always_inline int is_in(const __u32 *ip, const __u32 *prefix, const __u32 *mask)
{
	return !(((ip[0] ^ prefix[0]) & mask[0]) | ((ip[1] ^ prefix[1]) & mask[1]) | ((ip[2] ^ prefix[2]) & mask[2]) |
		 ((ip[3] ^ prefix[3]) & mask[3]));
}

static __always_inline int matches(const struct rule *r, const struct flow *f)
{
	__u32 flags = r->flags;

	if ((flags & RULE_ETHER_TYPE) && r->ether_type != f->ether_type) return 0;
	if ((flags & RULE_PROTOCOL) && (!(f->has & HAS_PROTOCOL) || r->protocol != f->protocol)) return 0;
	if ((flags & RULE_V4) && (!(f->has & HAS_IP) || f->ether_type != ETH_P_IP)) return 0;
	if ((flags & RULE_V6) && (!(f->has & HAS_IP) || f->ether_type != ETH_P_IPV6)) return 0;
	if (flags & RULE_PORTS) {
		if (!(f->has & HAS_PORTS)) return 0;
		if (f->source_port < r->source_ports[0] || f->source_port > r->source_ports[1]) return 0;
		if (f->destination_port < r->destination_ports[0] || f->destination_port > r->destination_ports[1]) return 0;
	}
	if ((flags & RULE_SOURCE) && !is_in(f->source, r->source, r->source_mask)) return 0;
	return !(flags & RULE_DESTINATION) || is_in(f->destination, r->destination, r->destination_mask);
}

/* `open`: directions of which no rule has decided yet; `denied`: those of which one has denied. RULE_*_VNIC both. */
struct looking { struct flow flow; __u32 vni, generation, n, open, denied, class; };

/* A loop in here, and no `bpf_loop`: with the mitigations of some CPUs each return from a function costs as much as three
 * rules. Not static, so that it is verified once and not for each of its callers' states. @returns 1: all is decided, or
 * there is no more */
__noinline int look_in_piece(struct looking *l, __u32 at)
{
	struct rules_key key;
	struct rules_piece *piece;
	__u32 i, n, left;

	if (!l) return 1;
	key.vni = l->vni;
	key.generation = l->generation;
	key.at = at;
	piece = bpf_map_lookup_elem(&rules, &key);
	if (!piece) return 1;
	n = l->n - at * PIECE;
	left = (__u16)~piece->passed_over[l->class & 7];
	if (n < PIECE) left &= (1 << n) - 1;
	for (i = 0; i < PIECE && left; i++, left >>= 1) {
		const struct rule *rule = &piece->rule[i];
		__u32 decides = rule->flags & l->open;

		if (!(left & 1) || !decides || !matches(rule, &l->flow)) continue;
		l->open &= ~decides;
		if (rule->flags & RULE_DENY) l->denied |= decides;
		if (!l->open) return 1;
	}
	return 0;
}

static long look_in(__u32 at, struct looking *l)
{
	int is_over = look_in_piece(l, at);

	asm volatile("" : "+r"(is_over)); /* the verifier has to see that it is 0 or 1 */
	return is_over & 1;
}

/* Which of these directions the VN's list denies to a bare frame: RULE_FROM_VNIC, RULE_TO_VNIC. What cannot be read to its
 * ports goes nowhere: an ACL must not be got round by it. */
__noinline int denied_of(struct __sk_buff *skb, const struct vn_value *vn, __u32 vni, __u32 directions)
{
	struct ethhdr *eth = ethernet(skb);
	struct looking l = { .vni = vni, .open = directions };
	__u32 of;

	if (!eth || !vn) return directions;
	l.generation = vn->rules;
	l.n = vn->n_rules;
	l.flow.ether_type = bpf_ntohs(eth->h_proto);
	if (l.flow.ether_type == ETH_P_IP && read_flow4(skb, &l.flow)) return directions;
	if (l.flow.ether_type == ETH_P_IPV6 && read_flow6(skb, &l.flow)) return directions;
	of = l.flow.protocol == IPPROTO_TCP ? CLASS_TCP : l.flow.protocol == IPPROTO_UDP ? CLASS_UDP : CLASS_OTHER;
	l.class = CLASS_NO_IP;
	if (l.flow.ether_type == ETH_P_IP) l.class = CLASS_V4 + of;
	if (l.flow.ether_type == ETH_P_IPV6) l.class = CLASS_V6 + of;
	if (l.n <= PIECE) look_in_piece(&l, 0);
	else bpf_loop((l.n + PIECE - 1) / PIECE, look_in, &l, 0);
	return l.denied;
}

/* What a VNIC of the VN may send. `cost`: nanoseconds of an octet, times 65,536; `burst`: nanoseconds. The rest is for the
 * agent to read back. */
#define COARSE 100000000ULL
struct police { __u64 cost, burst; __u32 kbps, burst_octets; };
HASH(polices, __u32, struct police, 65536);

/* Until when each VNIC has spent what it may, by its number. */
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, METERS);
	__type(key, __u32);
	__type(value, __u64);
} policed SEC(".maps");

struct policed_key { __u32 vni, ifindex, vid; };

/* The same of those who are no VNIC's that is known: one for each place. */
struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, 32768);
	__type(key, struct policed_key);
	__type(value, __u64);
} policed_places SEC(".maps");

/* Octets as they go over a wire: of a super-packet with the headers of each of its segments (of TCP with timestamps). */
static __always_inline __u32 wire_octets(struct __sk_buff *skb)
{
	__u32 headers = skb->protocol == bpf_htons(ETH_P_IPV6) ? 86 : 66, segments = skb->gso_segs;

	return skb->len + (segments > 1 ? (segments - 1) * headers : 0);
}

/* A super-packet that is longer than the burst passes when nothing else is owed. @returns 1: too much */
static __noinline int is_too_much(struct __sk_buff *skb, const struct vn_value *vn, __u32 vni, __u32 owner, __u32 vid)
{
	struct policed_key key = { .vni = vni, .ifindex = skb->ifindex, .vid = vid };
	__u64 now, cost, burst, *spent;
	int i;

	if (!vn) return 0;
	cost = vn->police_cost;
	burst = vn->police_burst;
	if (!cost) { /* written by an earlier version */
		struct police *police = bpf_map_lookup_elem(&polices, &vni);

		if (!police) return 0;
		cost = police->cost;
		burst = police->burst;
	}
	/* The clock of the ticks, some milliseconds late, is a quarter as dear. */
	now = burst >= COARSE ? bpf_ktime_get_coarse_ns() : bpf_ktime_get_ns();
	cost = wire_octets(skb) * cost >> 16;
	if (owner) spent = bpf_map_lookup_elem(&policed, &owner);
	else spent = bpf_map_lookup_elem(&policed_places, &key);
	if (!spent) {
		now += cost;
		bpf_map_update_elem(&policed_places, &key, &now, BPF_ANY);
		return 0;
	}
	for (i = 0; i < TRIES; i++) {
		__u64 was = *(volatile __u64 *)spent, from = was > now ? was : now;

		if (from > now && from + cost - now > burst) return 1;
		if (__sync_val_compare_and_swap(spent, was, from + cost) == was) return 0;
	}
	return 0;
}

/* RFC 2474: the first six bits of the DS field; the last two are ECN's. */
static __noinline int mark(struct __sk_buff *skb, __u32 dscp)
{
	__u8 *start = (void *)(long)skb->data, *end = (void *)(long)skb->data_end;
	struct ethhdr *eth = (void *)start;

	if (start + sizeof(*eth) + sizeof(struct iphdr) > end) return 0;
	if (eth->h_proto == bpf_htons(ETH_P_IP)) {
		struct iphdr *ip = (void *)(eth + 1);
		__u16 was = *(__u16 *)ip, is = (was & bpf_htons(0xff03)) | bpf_htons(dscp << 2);

		if (was == is) return 0;
		*(__u16 *)ip = is;
		ip->check = ~folded((__u16)~ip->check + (__u16)~was + is); /* RFC 1624 */
	} else if (eth->h_proto == bpf_htons(ETH_P_IPV6)) {
		__u16 was = *(__u16 *)(start + ETH_HLEN), is = (was & bpf_htons(0xf03f)) | bpf_htons(dscp << 6);

		if (was != is) bpf_skb_store_bytes(skb, ETH_HLEN, &is, sizeof(is), BPF_F_RECOMPUTE_CSUM);
	}
	return 0;
}
