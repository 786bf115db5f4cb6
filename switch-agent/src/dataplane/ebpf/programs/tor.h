/* SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only */
/* Maps of the ToR's dataplane; ../maps.ts has the same layouts. Addresses of VTEPs are 16 octets in network
 * order, IPv4 as ::ffff:a.b.c.d. */
#pragma once

/* Why stands above the verdict itself: VERDICT is what the kernel is told. */
#define DROPPED(reason) (TC_ACT_SHOT | REASON(reason))
#define REASON(reason) (((reason) + 1) << 8)
#define VERDICT(verdict) ((verdict) & 0xff)

#include "kept.h"

/* Two checks of it stay two: of one that the compiler has made of them the verifier of Linux 6.1 learns nothing. */
#define AS_CHECKED(value) asm volatile("" : "+r"(value))

/* A struct whose members mean another thing, or stand elsewhere, is another layout: count LAYOUT in ../estate.ts up.
 * What is added at a value's end, with 0 for "as before", is none. */

enum place_type { LOCAL = 1, REMOTE_V4 = 2, REMOTE_V6 = 3, NOWHERE = 4 };

/* No padding in keys: it would be hashed too. */
struct access_key { __u32 ifindex; __u16 vid; __u16 zero; };
/* `flags`: the last 16 bits are the number of the port in `meters`. */
struct access_value { __u32 vni; __u32 flags; };
struct fdb_key { __u32 vni; __u8 mac[6]; __u16 zero; };
/* vid 0: frames without a tag. */
/* LOCAL: ifindex and vid, and in vtep the first IPv4 address of the MAC, if any. REMOTE: vtep, and ifindex is its number
 * in `next_hops`, 0: none. NOWHERE: known, but its port is absent. */
/* `owner`: the VNIC of a MAC here, or the other NVE, by its number in `meters`, 0: none. `flags`: of a MAC here; the last
 * 16 bits of a place here are the number of its port there. */
struct place { __u8 type; __u8 encapsulation; __u16 vid; __u32 ifindex; __u32 vtep[4]; __u32 owner; __u32 flags; };
/* `rules`: of its ACL, `n_rules` of them, like the flood list by generation. `mtu` 0: what the underlay leaves. */
/* `police_*`: of its VNICs, as in `polices` (rules.h). */
struct vn_value {
	__u32 n, generation, flags, rules;
	__u16 n_rules, mtu;
	__u64 police_cost, police_burst;
};
struct flood_key { __u32 vni; __u32 generation; __u32 at; };
struct peer_key { __u32 vni; __u32 vtep[4]; };
/* `meter`: its number in `meters`. */
struct peer_value { __u32 places, meter; };
/* `port`: of UDP, in network order. `flags`: below. */
struct config { __u32 tunnel; __u32 vtep[4]; __u16 port; __u16 flags; };
/* How packets get to a VTEP. `ifindex` 0: not by hand. `mtu`: of IP packets on the way. */
struct next_hop { __u32 vtep[4]; __u32 ifindex, mtu; __u8 destination[6], source[6]; };
struct vn_counters { __u64 access_in, access_out, overlay_in, overlay_out, flooded; };

/* Of a VN. GLEAN_LEASES: some access of it gleans, so what DHCP servers say to anybody in it is shown. */
#define FLOOD_UNKNOWN 1
#define GLEAN_LEASES 2
/* Pull (A18): the agent is shown who is looked for, and it is noted which of those behind the overlay are spoken to. */
#define ASK_UNKNOWN 4
/* ARP and ND are answered from `neighbours` (P12). */
#define ANSWER 8
/* There is a bucket for what each place sends to all; each VNIC has one for all it sends; its packets get a DSCP. */
#define FLOOD_LIMIT 16
#define POLICE 32
#define MARK 64
/* Some place of its flood list takes GRE. */
#define FLOOD_GRE 128
/* Packets for MACs that are SUSPENDED are dropped, or their senders are told (M8). */
#define DROP_SUSPENDED 256
#define TELL_SUSPENDED 512
/* Which one: the last bits of the flags. */
#define DSCP_OF(flags) ((flags) >> 24)
/* Of an access. */
#define CHECK_SOURCE 1
#define GLEAN 2
#define CHECK_IPS 4
#define ACCESS_FLOOD_LIMIT 8
/* Of a MAC here: it has IPs that were said, and may use no others. */
#define HAS_IPS 1
/* Some of them are prefixes. */
#define HAS_NETS 4
/* Of a MAC that was here and is behind the overlay now: what comes for it over the overlay goes on to where it is now (M5). */
#define IN_FLIGHT 2
/* Of a MAC here, or that was (NOWHERE): its user is suspended (M8). */
#define SUSPENDED 8

/* Of the config: VXLAN is put on and taken off by hand where that can be. */
#define FAST_PATH 1
/* What is taken from other NVEs, beside VXLAN. */
#define TAKES_NVGRE 2
#define TAKES_MPLS_OVER_GRE 4
/* VNICs, ports and other NVEs are counted one by one. */
#define METERED 8
/* Somebody captures. */
#define CAPTURED 16

enum encapsulation { VXLAN = 0, NVGRE = 1, MPLS_OVER_GRE = 2 };

HASH(access_map, struct access_key, struct access_value, 262144);
HASH(fdb, struct fdb_key, struct place, 524288);
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

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 16384);
	__type(key, __u32);
	__type(value, struct next_hop);
} next_hops SEC(".maps");

/* In the order of `dropReasons` in ../maps.ts. */
enum reason {
	UNTAGGED, PRIORITY_TAGGED, NO_SUCH_TAG, DOUBLE_TAGGED, LINK_LOCAL, BAD_SOURCE, MALFORMED, HAIRPIN, PORT_ABSENT,
	UNKNOWN_VNI, UNKNOWN_MAC, STRANGER_VTEP, SPLIT_HORIZON, INNER_TAG, OVERSIZE, TUNNEL_ERROR, NOT_READY, UNKNOWN_SOURCE,
	GLEAN_OVERRUN, PULL_OVERRUN, SPOOFED_IP, FLOOD_LIMITED, ACL_DENIED, POLICED, NO_NEXT_HOP, TOO_BIG_TOLD, CONGESTED,
	HOP_LIMIT, SUSPENDED_DROPPED, SUSPENDED_TOLD, REASONS
};

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, REASONS);
	__type(key, __u32);
	__type(value, __u64);
} drops SEC(".maps");

/* What the agent is shown: the frame without its tag, as much of it as fits. ifindex 0: from the overlay; wanted 1: for
 * whom it is, or whom it asks for, is not known here. */
#define SAMPLE_OCTETS 384
struct sample { __u32 vni, ifindex; __u16 vid, length, wanted, zero; __u8 octets[SAMPLE_OCTETS]; };

struct {
	__uint(type, BPF_MAP_TYPE_QUEUE);
	__uint(max_entries, 1024);
	__uint(value_size, sizeof(struct sample));
} samples SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct sample);
} scratch SEC(".maps");

/* A MAC at a place; or, in ARP and ND, the MAC with (the hash of) an address that it says there. In pull a MAC that is
 * looked for, or (the hash of) an IP; and, with ifindex 0, a MAC behind the overlay that is spoken to. */
enum sight_of { SIGHT_MAC, SIGHT_ARP, SIGHT_ND, SIGHT_WANTED, SIGHT_WANTED_IP, SIGHT_USED };
struct sight_key { __u32 vni, ifindex, address; __u16 vid; __u8 mac[6]; __u16 what, zero; };
/* Nanoseconds of the monotonic clock; shown 0: never. */
struct sight { __u64 shown, seen; };

struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, 65536);
	__type(key, struct sight_key);
	__type(value, struct sight);
} sights SEC(".maps");

/* How many samples of a port since `since`. */
struct gauge { __u64 since; __u32 shown, zero; };

struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, 4096);
	__type(key, __u32);
	__type(value, struct gauge);
} gauges SEC(".maps");
