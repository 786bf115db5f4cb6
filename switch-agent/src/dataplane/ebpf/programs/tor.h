/* SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only */
/* Maps of the ToR's dataplane; ../maps.ts has the same layouts. Addresses of VTEPs are 16 octets in network
 * order, IPv4 as ::ffff:a.b.c.d. */
#pragma once
#include <nve-frame.h>

enum place_type { LOCAL = 1, REMOTE_V4 = 2, REMOTE_V6 = 3, NOWHERE = 4 };

/* No padding in keys: it would be hashed too. */
struct access_key { __u32 ifindex; __u16 vid; __u16 zero; };
struct access_value { __u32 vni; __u32 flags; };
struct fdb_key { __u32 vni; __u8 mac[6]; __u16 zero; };
/* vid 0: frames without a tag. */
/* LOCAL: ifindex and vid. REMOTE: vtep. NOWHERE: known, but its port is absent. */
struct place { __u8 type; __u16 vid; __u32 ifindex; __u32 vtep[4]; };
struct vn_value { __u32 n; __u32 generation; __u32 flags; };
struct flood_key { __u32 vni; __u32 generation; __u32 at; };
struct peer_key { __u32 vni; __u32 vtep[4]; };
struct peer_value { __u32 places; };
struct config { __u32 tunnel; __u32 vtep[4]; };
struct vn_counters { __u64 access_in, access_out, overlay_in, overlay_out, flooded; };

/* Of a VN. */
#define FLOOD_UNKNOWN 1
/* Of an access. */
#define CHECK_SOURCE 1
#define GLEAN 2

HASH(access_map, struct access_key, struct access_value, 262144);
HASH(fdb, struct fdb_key, struct place, 262144);
HASH(vns, __u32, struct vn_value, 65536);
HASH(flood, struct flood_key, struct place, 262144);
HASH(peers, struct peer_key, struct peer_value, 262144);
PERCPU_HASH(vn_counts, __u32, struct vn_counters, 65536);

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct config);
} config SEC(".maps");

/* In the order of `dropReasons` in ../maps.ts. */
enum reason {
	UNTAGGED, PRIORITY_TAGGED, NO_SUCH_TAG, DOUBLE_TAGGED, LINK_LOCAL, BAD_SOURCE, MALFORMED, HAIRPIN, PORT_ABSENT,
	UNKNOWN_VNI, UNKNOWN_MAC, STRANGER_VTEP, SPLIT_HORIZON, INNER_TAG, OVERSIZE, TUNNEL_ERROR, NOT_READY, UNKNOWN_SOURCE,
	REASONS
};

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, REASONS);
	__type(key, __u32);
	__type(value, __u64);
} drops SEC(".maps");
