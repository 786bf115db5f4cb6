/* SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only */
/* What goes with a frame into the tunnel device, and comes out of it. */
#pragma once
#include "outer.h"

/* The metadata for the tunnel device is per CPU and used up by a send: set it before each. */
static __always_inline int set_tunnel(struct __sk_buff *skb, const struct config *c, __u32 vni, const struct place *to,
				      __u32 ttl)
{
	struct bpf_tunnel_key key;
	__u64 flags = BPF_F_DONT_FRAGMENT; /* RFC 7348 4.3 */

	memset(&key, 0, sizeof(key));
	key.tunnel_id = vni;
	key.tunnel_ttl = ttl;
	key.tunnel_tos = ds_of(skb); /* RFC 6040 */
	if (to->type == REMOTE_V6) {
		memcpy(key.remote_ipv6, to->vtep, 16);
		memcpy(key.local_ipv6, c->vtep, 16);
		flags |= BPF_F_TUNINFO_IPV6;
	} else {
		key.remote_ipv4 = bpf_ntohl(to->vtep[3]); /* host order here, network order in the IPv6 fields */
		key.local_ipv4 = bpf_ntohl(c->vtep[3]);
		flags |= BPF_F_ZERO_CSUM_TX;
	}
	return bpf_skb_set_tunnel_key(skb, &key, sizeof(key), flags);
}

/* VNI and source VTEP of a decapsulated frame. @returns 0, or not when it came without them. */
static __always_inline int tunnel_source(struct __sk_buff *skb, struct peer_key *peer, __u32 *ttl)
{
	struct bpf_tunnel_key key;

	memset(&key, 0, sizeof(key));
	if (!bpf_skb_get_tunnel_key(skb, &key, sizeof(key), 0)) {
		peer->vtep[2] = bpf_htonl(0xffff);
		peer->vtep[3] = bpf_htonl(key.remote_ipv4);
	} else if (!bpf_skb_get_tunnel_key(skb, &key, sizeof(key), BPF_F_TUNINFO_IPV6)) {
		memcpy(peer->vtep, key.remote_ipv6, 16);
	} else {
		return -1;
	}
	peer->vni = key.tunnel_id;
	*ttl = key.tunnel_ttl;
	return 0;
}
