/* SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only */
/* The ToR's dataplane over a kernel tunnel device in external mode (RFC 7348).
 *
 *   access port -> tor_access  -> {port, tag} -> VNI -> {VNI, MAC} -> other access port, tagged anew
 *                                                               `--> tunnel key -> tunnel device
 *   tunnel device -> tor_overlay -> VNI and VTEP checked -> {VNI, MAC} -> access port, tagged
 */
#include "limits.h"
#include "neighbours.h"
#include "pull.h"
#include "gre.h"
#include "decap.h"
#include "device.h"
#include "rules.h"
#include "suspended.h"
#include "capture.h"
#include "ingress.h"

/* For the overlay it is longer than `mtu`: its sender is told, if that can be. */
static __always_inline int too_big(struct __sk_buff *skb, const struct ingress *from, __u32 mtu,
				   struct vn_counters *count)
{
	if (from->overlay || !tell_too_big(skb, from->vid, mtu)) return DROP_FROM(from, OVERSIZE);
	(void)DROP_FROM(from, TOO_BIG_TOLD);
	return send_back(skb, from, count) | REASON(TOO_BIG_TOLD);
}

struct flooding {
	struct __sk_buff *skb;
	const struct config *c;
	struct ingress *from;
	/* `room`: how long a packet for the overlay may be, and this is longer; 0: it is not. */
	__u32 generation, room, refused, has_room, octets;
	__u64 local, remote;
	struct carried carried;
};

static long flood_one(__u32 at, struct flooding *f)
{
	struct flood_key key = { .vni = f->from->vni, .generation = f->generation, .at = at };
	struct place *to = bpf_map_lookup_elem(&flood, &key);

	if (!to) return 0;
	if (to->type == LOCAL) {
		if (to->ifindex == f->from->ifindex && to->vid == f->from->vid) return 0; /* where it came from */
		if (f->from->denied & RULE_TO_VNIC) {
			(void)DROP_FROM(f->from, ACL_DENIED);
			return 0;
		}
		if (f->c->flags & METERED) meter_out(PORT_METER(to->flags), f->octets);
		if (tag_for(f->skb, to)) return 0;
		if (!bpf_clone_redirect(f->skb, to->ifindex, 0)) f->local += 1;
		return to->vid && bpf_skb_vlan_pop(f->skb) ? 1 : 0;
	}
	if (f->from->overlay) return 0; /* split horizon */
	if (f->room) {
		f->refused = 1;
		return 0;
	}
	if (f->c->flags & METERED) meter_out(to->owner, f->octets);
	if (to->encapsulation != VXLAN) {
		f->remote += copy_in_gre(f->skb, f->c, to, &f->carried, &f->has_room);
		return 0;
	}
	if (set_tunnel(f->skb, f->c, f->from->vni, to, TTL)) {
		(void)DROP(TUNNEL_ERROR);
		return 0;
	}
	if (!bpf_clone_redirect(f->skb, f->c->tunnel, 0)) f->remote += 1;
	return 0;
}

/* Head-end replication: one copy for each place of the VN's list. */
static __always_inline int flood_all(struct __sk_buff *skb, const struct config *c, struct ingress *from,
				     const struct vn_value *vn, struct vn_counters *count)
{
	struct flooding f = { .skb = skb, .c = c, .from = from, .generation = vn->generation, .octets = skb->len };

	f.room = from->overlay ? 0 : exceeded(skb, c, from->mtu);
	if (vn->flags & FLOOD_GRE) f.carried = carried_of(skb, from->vni, TTL);
	bpf_loop(vn->n, flood_one, &f, 0);
	count->flooded += 1;
	count->access_out += f.local;
	count->overlay_out += f.remote;
	from->copies = 1 | f.local << 1 | f.remote << 16;
	return f.refused ? too_big(skb, from, f.room, count) : TC_ACT_SHOT;
}

/* `octets`: without what it was put in. */
static __always_inline void sent_over(const struct config *c, const struct place *to, __u32 octets, struct vn_counters *count)
{
	count->overlay_out += 1;
	if (c->flags & METERED) meter_out(to->owner, octets);
}

/* From the overlay, to a MAC that was here and has moved away (M5): on to where it is, in a packet that lives as much shorter
 * as each router makes it. So what a ring of NVEs sends round comes to an end, and between two nothing goes back.
 * @returns 0, or why not */
static __always_inline int may_go_on(const struct ingress *from, const struct place *to)
{
	const __u32 *a = from->came, *b = to->vtep;

	if (!(to->flags & IN_FLIGHT) || !a) return SPLIT_HORIZON;
	if (!((a[0] ^ b[0]) | (a[1] ^ b[1]) | (a[2] ^ b[2]) | (a[3] ^ b[3]))) return SPLIT_HORIZON;
	return from->ttl < 2 ? HOP_LIMIT : 0;
}

/* For a MAC that is suspended, where that is a matter (M8). */
static __always_inline int to_suspended(struct __sk_buff *skb, const struct ingress *from, __u32 flags,
					struct vn_counters *count)
{
	__u32 vid = from->overlay ? FROM_OVERLAY : from->vid;

	if (!(flags & TELL_SUSPENDED) || !tell_unreachable(skb, from->vni, vid)) return DROP_FROM(from, SUSPENDED_DROPPED);
	(void)DROP_FROM(from, SUSPENDED_TOLD);
	return from->overlay ? answer_over(skb, from->vni) : send_back(skb, from, count) | REASON(SUSPENDED_TOLD);
}

static __always_inline int deliver(struct __sk_buff *skb, const struct config *c, struct ingress *from,
				   const struct vn_value *vn, const struct place *to, struct vn_counters *count)
{
	__u32 octets = skb->len, ttl = TTL;
	__u32 mtu;
	int verdict;

	from->to = to;
	if ((to->flags & SUSPENDED) && (vn->flags & (DROP_SUSPENDED | TELL_SUSPENDED)) && !(from->denied & RULE_TO_VNIC))
		return to_suspended(skb, from, vn->flags, count);
	if (to->type == NOWHERE) return DROP_FROM(from, PORT_ABSENT);
	if (to->type == LOCAL) {
		if (to->ifindex == from->ifindex && to->vid == from->vid) return DROP_FROM(from, HAIRPIN);
		if (from->denied & RULE_TO_VNIC) return DROP_FROM(from, ACL_DENIED);
		if (c->flags & METERED) {
			meter_out(to->owner, skb->len);
			meter_out(PORT_METER(to->flags), skb->len);
		}
		if (tag_for(skb, to)) return DROP(MALFORMED);
		count->access_out += 1;
		return bpf_redirect(to->ifindex, 0);
	}
	if (from->overlay) {
		verdict = may_go_on(from, to);
		if (verdict) return DROP_FROM(from, verdict);
		ttl = from->ttl - 1;
	}
	mtu = from->mtu || skb->gso_size ? exceeded(skb, c, from->mtu) : 0;
	if (mtu) return too_big(skb, from, mtu, count);
	if (to->encapsulation != VXLAN) verdict = to_gre(skb, c, ttl << 24 | from->vni, to, &mtu);
	else verdict = from->overlay ? BY_DEVICE : by_hand(skb, c, from->vni, to, &mtu);
	if (verdict == TC_ACT_REDIRECT) sent_over(c, to, octets, count);
	if (verdict == TOO_LONG) return too_big(skb, from, mtu, count);
	if (verdict != BY_DEVICE) return verdict;
	mtu = exceeded(skb, c, 0);
	if (mtu) return too_big(skb, from, mtu, count);
	if (set_tunnel(skb, c, from->vni, to, ttl)) return DROP(TUNNEL_ERROR);
	sent_over(c, to, octets, count);
	return bpf_redirect(c->tunnel, 0);
}

/* To all others of the VN; of a place no more than it may. */
static __always_inline int flood_from(struct __sk_buff *skb, const struct config *c, struct ingress *from,
				      const struct vn_value *vn, struct vn_counters *count)
{
	if (!from->overlay && !may_flood(from->vni, from->ifindex, from->vid, vn->flags, from->flags))
		return DROP_FROM(from, FLOOD_LIMITED);
	return flood_all(skb, c, from, vn, count);
}

/* A frame of a place, or of the overlay, to a group. */
static __always_inline int to_group(struct __sk_buff *skb, const struct config *c, struct ingress *from,
				    const struct vn_value *vn, struct vn_counters *count, const struct ethhdr *eth)
{
	if (!from->overlay) {
		if (vn->flags & ANSWER) {
			if (eth->h_proto == bpf_htons(ETH_P_RARP)) count->access_out += answer_rarp(skb, from->vni, from->vid);
			else if (answer(skb, eth, from->vni)) return send_back(skb, from, count);
		}
		if (vn->flags & ASK_UNKNOWN) want_ip(skb, from->vni, from->vid);
	}
	return flood_from(skb, c, from, vn, count);
}

/* What the VN's profile says of a frame (H25). @returns TC_ACT_UNSPEC: it goes on */
static __always_inline int by_profile(struct __sk_buff *skb, struct ingress *from, const struct vn_value *vn)
{
	if (vn->n_rules) {
		from->denied = denied_of(skb, vn, from->vni, from->overlay ? RULE_TO_VNIC : RULE_FROM_VNIC | RULE_TO_VNIC);
		if (from->denied & RULE_FROM_VNIC) return DROP_FROM(from, ACL_DENIED);
	}
	if (from->overlay) return TC_ACT_UNSPEC;
	if ((vn->flags & POLICE) && is_too_much(skb, vn, from->vni, from->owner, from->vid)) return DROP_FROM(from, POLICED);
	if (vn->flags & MARK) mark(skb, DSCP_OF(vn->flags));
	return TC_ACT_UNSPEC;
}

/* What both directions do once the VN is known and the frame is bare. */
static __always_inline int forward(struct __sk_buff *skb, const struct config *c, struct ingress *from,
				   const struct vn_value *vn, struct vn_counters *count)
{
	struct ethhdr *eth = ethernet(skb);
	struct fdb_key key = { .vni = from->vni };
	struct place *to;
	int verdict;

	if (!eth) return DROP(MALFORMED);
	if (is_tagged(skb, eth)) return from->overlay ? DROP(INNER_TAG) : DROP(DOUBLE_TAGGED); /* RFC 7348 6.1 */
	if (is_group(eth->h_source)) return DROP(BAD_SOURCE);
	if (is_link_local(eth->h_dest)) return DROP(LINK_LOCAL);
	from->denied = vn->n >> 29; /* 0: see `from.owner` */
	if (vn->n_rules || (vn->flags & (POLICE | MARK))) {
		verdict = by_profile(skb, from, vn);
		if (verdict != TC_ACT_UNSPEC) return verdict;
		eth = ethernet(skb);
		if (!eth) return DROP(MALFORMED);
	}
	if (vn->flags & GLEAN_LEASES) {
		glean_leases(skb, from->vni, from->ifindex, from->vid);
		eth = ethernet(skb);
		if (!eth) return DROP(MALFORMED);
	}
	if (is_group(eth->h_dest)) return to_group(skb, c, from, vn, count, eth);
	memcpy(key.mac, eth->h_dest, 6);
	to = bpf_map_lookup_elem(&fdb, &key);
	if ((vn->flags & ASK_UNKNOWN) && !from->overlay) {
		if (!to) want_mac(skb, from->vni, from->vid);
		else if (to->type != LOCAL && to->type != NOWHERE) note_use(skb, from->vni);
	}
	if (to) return deliver(skb, c, from, vn, to, count);
	if (vn->flags & FLOOD_UNKNOWN) return flood_from(skb, c, from, vn, count);
	return DROP_FROM(from, UNKNOWN_MAC);
}

/* What is known of the source of a bare frame, if it is known to be where the frame came in. */
static __always_inline const struct place *home_of(const struct ethhdr *eth, const struct ingress *from)
{
	struct fdb_key key = { .vni = from->vni };
	struct place *at;

	memcpy(key.mac, eth->h_source, 6);
	at = bpf_map_lookup_elem(&fdb, &key);
	return at && at->type == LOCAL && at->ifindex == from->ifindex && at->vid == from->vid ? at : NULL;
}

/* Frames with no tag, and those with a priority tag (802.1Q 9.6), are of the VN that has vid 0 on the port. */
static __always_inline int no_access(struct __sk_buff *skb, const struct ethhdr *eth, __u16 vid)
{
	if (vid) return DROP(NO_SUCH_TAG);
	/* On an access network stations speak to the port's own address. */
	if (eth->h_proto == bpf_htons(ETH_P_LLDP) || eth->h_proto == bpf_htons(ETH_P_ECP)) return TC_ACT_OK;
	return skb->vlan_present ? DROP(PRIORITY_TAGGED) : DROP(UNTAGGED);
}

/* @returns the verdict for the kernel */
static __always_inline int told(const struct config *c, const struct ingress *from, int verdict)
{
	if (c->flags & CAPTURED) {
		struct told it = {
			.vni = from->vni, .owner = from->overlay ? 0 : from->owner, .copies = from->copies, .verdict = verdict,
			.to = from->to, .vtep = from->came,
		};

		tell_frame(&it);
	}
	return VERDICT(verdict);
}

static __always_inline int from_access(struct __sk_buff *skb, const struct config *c, struct ingress *from)
{
	struct access_key key = { .ifindex = skb->ifindex };
	struct ethhdr *eth = ethernet(skb);
	struct access_value *access;
	struct vn_value *vn;
	struct vn_counters *count;

	if (!eth) return DROP(MALFORMED);
	/* LLDP and ECP are the packet socket's, which may stand behind this hook. */
	if (!skb->vlan_present && is_link_local(eth->h_dest)) return TC_ACT_OK;
	if (skb->vlan_present) from->vid = key.vid = vid_of(skb);
	access = bpf_map_lookup_elem(&access_map, &key);
	if (!access) return no_access(skb, eth, key.vid);
	if (skb->vlan_present && skb->vlan_proto != bpf_htons(ETH_P_8021Q)) return DROP(NO_SUCH_TAG);
	from->vni = access->vni;
	from->flags = access->flags;
	from->port = PORT_METER(access->flags);
	vn = bpf_map_lookup_elem(&vns, &from->vni);
	count = bpf_map_lookup_elem(&vn_counts, &from->vni);
	if (!vn || !count) return DROP(NOT_READY);
	from->mtu = vn->mtu;
	count->access_in += 1;
	if (skb->vlan_present && bpf_skb_vlan_pop(skb)) return DROP(MALFORMED);
	if ((from->flags & (CHECK_SOURCE | CHECK_IPS | GLEAN)) || (c->flags & METERED) || (vn->flags & POLICE)) {
		const struct place *home;

		eth = ethernet(skb);
		if (!eth) return DROP(MALFORMED);
		home = home_of(eth, from);
		/* 0 of a MAC that is not at home; in words that the verifier cannot reckon with, or it tries all that follows twice. */
		from->owner = home ? home->owner : vn->n >> 31;
		if (c->flags & METERED) {
			meter_in(from->owner, octets_of(skb));
			meter_in(from->port, octets_of(skb));
		}
		if (!home && (from->flags & CHECK_SOURCE)) return DROP_FROM(from, UNKNOWN_SOURCE);
		if (home && (from->flags & CHECK_IPS) && (home->flags & HAS_IPS) && !is_first_ip(skb, eth, home) &&
		    !check_ips(skb, from->vni, home->flags))
			return DROP_FROM(from, SPOOFED_IP);
		if ((from->flags & GLEAN) && !is_tagged(skb, eth)) glean(skb, from->vni, from->vid, home != NULL);
	}
	return forward(skb, c, from, vn, count);
}

SEC("tc")
int tor_access(struct __sk_buff *skb)
{
	struct config *c = configuration();
	struct ingress from = { .ifindex = skb->ifindex };

	if (!c) return VERDICT(DROP(NOT_READY));
	if (c->flags & CAPTURED) keep_frame(skb, FROM_PORT);
	return told(c, &from, from_access(skb, c, &from));
}

static __always_inline int from_device(struct __sk_buff *skb, const struct config *c, struct ingress *from,
				       struct peer_key *peer)
{
	struct peer_value *from_peer;
	struct vn_value *vn;
	struct vn_counters *count;

	if (tunnel_source(skb, peer, &from->ttl)) return DROP(TUNNEL_ERROR);
	from->vni = peer->vni;
	vn = bpf_map_lookup_elem(&vns, &from->vni);
	count = bpf_map_lookup_elem(&vn_counts, &from->vni);
	if (!vn || !count) return DROP(UNKNOWN_VNI);
	from_peer = bpf_map_lookup_elem(&peers, peer);
	if (!from_peer) return DROP(STRANGER_VTEP); /* P11, M10 */
	count->overlay_in += 1;
	from->port = from_peer->meter;
	if (c->flags & METERED) meter_in(from->port, octets_of(skb));
	return forward(skb, c, from, vn, count);
}

SEC("tc")
int tor_overlay(struct __sk_buff *skb)
{
	struct config *c = configuration();
	struct peer_key peer = {};
	struct ingress from = { .overlay = 1, .came = peer.vtep };

	if (!c) return VERDICT(DROP(NOT_READY));
	if (c->flags & CAPTURED) keep_frame(skb, FROM_DEVICE);
	return told(c, &from, from_device(skb, c, &from, &peer));
}

static __always_inline int from_underlay(struct __sk_buff *skb, const struct config *c, struct ingress *from,
					 struct outer *outer)
{
	struct peer_value *from_peer;
	struct vn_value *vn;
	struct vn_counters *count;
	int verdict;

	from->vni = outer->peer.vni;
	from->ttl = outer->ttl;
	vn = bpf_map_lookup_elem(&vns, &from->vni);
	count = bpf_map_lookup_elem(&vn_counts, &from->vni);
	if (!vn || !count) return DROP(UNKNOWN_VNI);
	from_peer = bpf_map_lookup_elem(&peers, &outer->peer);
	if (!from_peer) return DROP(STRANGER_VTEP); /* P11, M10 */
	/* A frame that another kernel has marked as encapsulated cannot be made an answer; the device takes the mark off. */
	if (!outer->gre && ((vn->flags & TELL_SUSPENDED) || !is_by_hand(skb, outer))) return TC_ACT_OK;
	verdict = strip(skb, outer);
	if (verdict != TC_ACT_UNSPEC) return verdict;
	count->overlay_in += 1;
	from->port = from_peer->meter;
	if (c->flags & METERED) meter_in(from->port, octets_of(skb));
	return forward(skb, c, from, vn, count);
}

/* On the underlay, before the kernel: tunnels to us that are what is sent most. */
SEC("tc")
int tor_underlay(struct __sk_buff *skb)
{
	struct config *c = configuration();
	struct outer outer = {};
	struct ingress from = { .overlay = 1, .came = outer.peer.vtep };

	if (!c || !is_at_hand(skb) || !read_outer(skb, c, &outer)) return TC_ACT_OK;
	if (c->flags & CAPTURED) keep_frame(skb, FROM_UNDERLAY);
	return told(c, &from, from_underlay(skb, c, &from, &outer));
}

char _license[] SEC("license") = "GPL";
