/* SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only */
/* Packets that are too long for the overlay: their sender is told (RFC 1191, RFC 8201), in the name of whom they are for, as
 * a switch has no address in the tenant's network. What may not be told, or too often was, is just dropped. */
#pragma once
#include "limits.h"
#include "outer.h"

/* Of an answer of 576 octets (RFC 1812 4.3.2.3), and of one of 1280 (RFC 4443 2.4 c). Multiples of 4. */
#define QUOTE_V4 528
#define QUOTE_V6 1232
#define IPV6_MIN_MTU 1280
/* Of what one place is told: 100 a second (RFC 4443 2.4 f), 20 at once. */
#define TELL_INTERVAL 10000000ULL
#define TELL_AHEAD (19 * TELL_INTERVAL)

struct icmp { __u8 type, code; __u16 checksum, zero, mtu; };
struct told_v4 { struct ethhdr eth; struct iphdr ip; struct icmp icmp; } __attribute__((packed));
struct told_v6 { struct ethhdr eth; struct ipv6hdr ip; __u8 type, code; __u16 checksum; __u32 mtu; } __attribute__((packed));
struct quote { __u8 octets[QUOTE_V6]; };

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct quote);
} quotes SEC(".maps");

/* Octets of the longest packet that a super-packet is split into, without the Ethernet header. */
static __noinline __u32 longest_segment(struct __sk_buff *skb)
{
	__u32 at = sizeof(struct ethhdr), size = skb->gso_size;
	__u8 first[10] = {}, next, offset = 0;
	struct ethhdr *eth = ethernet(skb);

	if (!eth || bpf_skb_load_bytes(skb, at, first, sizeof(first))) return size;
	if (eth->h_proto == bpf_htons(ETH_P_IP)) {
		at += (first[0] & 0xf) * 4;
		next = first[9];
	} else {
		at += sizeof(struct ipv6hdr);
		next = first[6];
	}
	if (next != IPPROTO_TCP) return at - sizeof(struct ethhdr) + sizeof(struct udphdr) + size;
	(void)bpf_skb_load_bytes(skb, at + 12, &offset, 1);
	return at - sizeof(struct ethhdr) + (offset >> 4) * 4 + size;
}

static __always_inline __u32 longest(struct __sk_buff *skb)
{
	return skb->gso_size ? longest_segment(skb) : skb->len - sizeof(struct ethhdr);
}

/* @param mtu of the VN, 0: none. The tunnel device's is what the underlay leaves for the tenants' packets.
 * @returns 0, or, when the packet is longer, how long one may be */
static __always_inline __u32 exceeded(struct __sk_buff *skb, const struct config *c, __u32 mtu)
{
	__u32 room = 0;
	int over = bpf_check_mtu(skb, c->tunnel, &room, 0, BPF_MTU_CHK_SEGS) > 0;

	if (mtu && (!room || mtu < room) && longest(skb) > mtu) return mtu;
	return over ? room : 0;
}

/* Cuts the frame off in its transport header, and says whether somebody after us will fill in the checksum there: the
 * kernel does not cut that off. `at`: where that header begins. @returns 0, 1: will be filled in; -1: it cannot be cut */
static __always_inline int cut(struct __sk_buff *skb, __u32 at, __u8 protocol)
{
	__u32 field = protocol == IPPROTO_TCP ? 16 : protocol == IPPROTO_UDP ? 6 : 0;

	if (!bpf_skb_change_tail(skb, at + field + 1, 0)) return 0;
	return field && !bpf_skb_change_tail(skb, at + field + 2, 0) ? 1 : -1;
}

/* The frame becomes `octets` of the quote behind an Ethernet header and room for `more`. @returns 0, or not */
static __noinline int put_quote(struct __sk_buff *skb, struct quote *quote, __u32 octets, __u32 more)
{
	if (!quote || octets > QUOTE_V6) return -1;
	AS_CHECKED(octets);
	if (octets < 4) return -1;
	if (bpf_skb_change_tail(skb, sizeof(struct ethhdr) + octets, 0)) return -1;
	if (bpf_skb_store_bytes(skb, sizeof(struct ethhdr), quote->octets, octets, 0)) return -1;
	return bpf_skb_change_head(skb, more, 0);
}

/* The sum of the first `octets`, a multiple of 4; the helper takes 512 at a time. Negative: it failed */
static __noinline __s64 sum_of_quote(struct quote *quote, __u32 octets)
{
	__s64 sum = 0;
	__u32 at;

	if (!quote) return -1;
	for (at = 0; at < QUOTE_V6; at += 4 * 44) { /* QUOTE_V4 and QUOTE_V6 are 3 and 7 times that */
		__u32 some = octets - at;

		if (octets <= at) break;
		if (some > 4 * 44) some = 4 * 44;
		sum = bpf_csum_diff(NULL, 0, (void *)(quote->octets + at), some & 0xfc, sum);
		if (sum < 0) return sum;
	}
	return (sum & 0xffffffff) % 0xffff;
}

static __always_inline struct quote *quote_of(struct __sk_buff *skb, __u32 octets)
{
	__u32 zero = 0;
	struct quote *quote = bpf_map_lookup_elem(&quotes, &zero);

	if (!quote || octets > QUOTE_V6) return NULL;
	AS_CHECKED(octets);
	if (octets < 4) return NULL;
	return bpf_skb_load_bytes(skb, sizeof(struct ethhdr), quote->octets, octets) ? NULL : quote;
}

/* RFC 1122 3.2.2: of no errors, of no fragment but the first, to nobody but one station. */
static __always_inline int may_tell_v4(struct __sk_buff *skb, const struct iphdr *ip)
{
	__u8 type = 8, source = bpf_ntohl(ip->saddr) >> 24;

	if (ip->version != 4 || ip->ihl < 5 || (ip->frag_off & bpf_htons(0x1fff))) return 0;
	if (!source || source == 127 || source >= 224 || bpf_ntohl(ip->daddr) >> 24 >= 224) return 0;
	if (ip->protocol != IPPROTO_ICMP) return 1;
	if (bpf_skb_load_bytes(skb, sizeof(struct ethhdr) + ip->ihl * 4, &type, 1)) return 0;
	return type != 3 && type != 4 && type != 5 && type != 11 && type != 12;
}

/* How much of a packet may be quoted: what is there, without what Ethernet has put behind it. 0: it is cut off too early. */
static __always_inline __u32 quotable(__u32 octets, __u32 length, __u32 header, __u8 protocol)
{
	if (octets > length) octets = length;
	return octets < header + (protocol == IPPROTO_TCP ? 20 : 8) ? 0 : octets;
}

/* Fragmentation needed and DF set (RFC 792), with the MTU (RFC 1191 4); without one, host unreachable (RFC 792).
 * @returns 1: the frame is the answer now */
static __noinline int tell_v4(struct __sk_buff *skb, __u32 mtu)
{
	__u32 octets = skb->len - sizeof(struct ethhdr), header;
	struct told_v4 t = {};
	struct quote *quote;
	struct iphdr ip;
	int filled;
	__s64 sum;

	if (bpf_skb_load_bytes(skb, 0, &t.eth, sizeof(t.eth)) || bpf_skb_load_bytes(skb, ETH_HLEN, &ip, sizeof(ip))) return 0;
	header = ip.ihl * 4;
	if (!may_tell_v4(skb, &ip)) return 0;
	if (!mtu) octets = quotable(octets, bpf_ntohs(ip.tot_len), header, ip.protocol);
	if (mtu ? !(ip.frag_off & DF) || octets < header + 20 : !octets) return 0;
	octets = octets > QUOTE_V4 ? QUOTE_V4 : octets & ~3;
	quote = quote_of(skb, octets);
	filled = quote ? cut(skb, ETH_HLEN + header, ip.protocol) : -1;
	if (filled < 0 || put_quote(skb, quote, octets, sizeof(t) - ETH_HLEN)) return 0;
	/* A transport header whose checksum will be right, and what follows, make 0 with the field's first content. */
	sum = sum_of_quote(quote, filled ? header : octets);
	if (sum < 0) return 0;
	t.icmp.type = 3;
	t.icmp.code = mtu ? 4 : 1;
	t.icmp.mtu = bpf_htons(mtu);
	t.icmp.checksum = ~folded((__u32)sum + bpf_htons(mtu ? 0x0304 : 0x0301) + t.icmp.mtu);
	*(__u8 *)&t.ip = 0x45;
	t.ip.tos = 0xc0; /* internetwork control (RFC 1812 4.3.2.5) */
	t.ip.tot_len = bpf_htons(sizeof(t) - ETH_HLEN + octets);
	t.ip.ttl = 64;
	t.ip.protocol = IPPROTO_ICMP;
	t.ip.saddr = ip.daddr;
	t.ip.daddr = ip.saddr;
	t.ip.check = ~folded(sum_of(&t.ip, sizeof(t.ip)));
	memcpy(&ip, t.eth.h_dest, 6);
	memcpy(t.eth.h_dest, t.eth.h_source, 6);
	memcpy(t.eth.h_source, &ip, 6);
	return !bpf_skb_store_bytes(skb, 0, &t, sizeof(t), BPF_F_INVALIDATE_HASH);
}

/* Packet Too Big (RFC 4443 3.2); without an MTU, address unreachable (RFC 4443 3.1). */
static __noinline int tell_v6(struct __sk_buff *skb, __u32 mtu)
{
	__u32 octets = skb->len - ETH_HLEN;
	struct told_v6 t = {};
	struct ipv6hdr ip;
	struct quote *quote;
	__u8 type = 0xff;
	int filled;
	__s64 sum;

	if (mtu && mtu < IPV6_MIN_MTU) return 0; /* nobody sends shorter ones for that (RFC 8201 4) */
	if (bpf_skb_load_bytes(skb, 0, &t.eth, sizeof(t.eth)) || bpf_skb_load_bytes(skb, ETH_HLEN, &ip, sizeof(ip))) return 0;
	if (ip.version != 6 || ip.saddr.s6_addr[0] == 0xff || ip.daddr.s6_addr[0] == 0xff) return 0;
	if (!(ip.saddr.s6_addr32[0] | ip.saddr.s6_addr32[1] | ip.saddr.s6_addr32[2] | ip.saddr.s6_addr32[3])) return 0;
	if (ip.nexthdr == IPPROTO_ICMPV6 && bpf_skb_load_bytes(skb, ETH_HLEN + sizeof(ip), &type, 1)) return 0;
	if (type < 128) return 0; /* an error */
	if (!mtu) octets = quotable(octets, sizeof(ip) + bpf_ntohs(ip.payload_len), sizeof(ip), ip.nexthdr);
	if (!octets) return 0;
	octets = octets > QUOTE_V6 ? QUOTE_V6 : octets & ~3;
	t.type = mtu ? 2 : 1;
	t.code = mtu ? 0 : 3;
	t.mtu = bpf_htonl(mtu);
	t.ip.payload_len = bpf_htons(8 + octets);
	quote = quote_of(skb, octets);
	filled = quote ? cut(skb, ETH_HLEN + sizeof(ip), ip.nexthdr) : -1;
	if (filled < 0 || put_quote(skb, quote, octets, sizeof(t) - ETH_HLEN)) return 0;
	sum = sum_of_quote(quote, filled ? sizeof(ip) : octets);
	if (sum < 0) return 0;
	*(__u8 *)&t.ip = 0x60;
	t.ip.nexthdr = IPPROTO_ICMPV6;
	t.ip.hop_limit = 64;
	memcpy(&t.ip.saddr, &ip.daddr, 16);
	memcpy(&t.ip.daddr, &ip.saddr, 16);
	t.checksum = ~folded((__u32)sum + sum_of(&t.ip.saddr, 32) + t.ip.payload_len + bpf_htons(IPPROTO_ICMPV6) +
			     sum_of(&t.type, 2) + sum_of(&t.mtu, 4));
	memcpy(&ip, t.eth.h_dest, 6);
	memcpy(t.eth.h_dest, t.eth.h_source, 6);
	memcpy(t.eth.h_source, &ip, 6);
	return !bpf_skb_store_bytes(skb, 0, &t, sizeof(t), BPF_F_INVALIDATE_HASH);
}

/* @returns 1: the frame is the answer now, without a tag, for the place that it came from. Global, so that the kernel
 * verifies it once and not in each place where it is called. */
__noinline int tell_too_big(struct __sk_buff *skb, __u32 vid, __u32 mtu)
{
	struct bucket_key key = { .ifindex = skb->ifindex, .vid = vid, .kind = LIMIT_OF_TELLING };
	struct ethhdr *eth = ethernet(skb);
	__u16 type;

	if (!eth || is_group(eth->h_dest)) return 0;
	type = eth->h_proto;
	if (type != bpf_htons(ETH_P_IP) && type != bpf_htons(ETH_P_IPV6)) return 0;
	if (!spend(&key, TELL_INTERVAL, TELL_AHEAD)) return 0;
	return type == bpf_htons(ETH_P_IP) ? tell_v4(skb, mtu) : tell_v6(skb, mtu);
}
