/* SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only */
/* Counters of VNICs, access ports and other NVEs, by numbers of the agent's own (0: nobody's). One array for all, so
 * that a count is an index and no hash; per CPU, so that none waits for another. */
#pragma once
#include "tor.h"

/* In and out as the ToR sees it: `in` is what it takes from a VNIC, a port, another NVE. Octets of frames without tag and
 * tunnel; a super-packet is one frame. 64 octets: a cache line. */
struct meter {
	__u64 in, in_octets, out, out_octets;
	__u64 drops[4]; /* of what came in: by the ACL, policed, of another's MAC or IP, for any other reason */
};

#define METERS 32768

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, METERS);
	__type(key, __u32);
	__type(value, struct meter);
} meters SEC(".maps");

/* What each number is of: the agent's alone. `vni`: of a VNIC. `name`: a UUID, a port's name or a VTEP. */
struct meter_of { __u32 kind, vni; __u8 name[16]; };
HASH(meter_numbers, struct meter_of, __u32, METERS);

/* Of an access and of a place here: the number of its port. */
#define PORT_METER(flags) ((flags) >> 16)

/* Of a bare frame; the kernel has put a second tag beside it. */
static __always_inline __u32 octets_of(const struct __sk_buff *skb)
{
	return skb->len + (skb->vlan_present ? 4 : 0);
}

static __always_inline void meter_in(__u32 number, __u32 octets)
{
	struct meter *m = bpf_map_lookup_elem(&meters, &number);

	if (!m) return;
	m->in += 1;
	m->in_octets += octets;
}

static __always_inline void meter_out(__u32 number, __u32 octets)
{
	struct meter *m = bpf_map_lookup_elem(&meters, &number);

	if (!m) return;
	m->out += 1;
	m->out_octets += octets;
}

/* Which counter of a meter a drop is in. */
#define SLOT_OF(reason) ((reason) == ACL_DENIED ? 0 : (reason) == POLICED ? 1 : (reason) == SPOOFED_IP || (reason) == UNKNOWN_SOURCE ? 2 : 3)

static __always_inline void meter_drop(__u32 number, __u32 slot)
{
	struct meter *m = bpf_map_lookup_elem(&meters, &number);

	if (m) m->drops[slot & 3] += 1;
}

/* A drop, counted for all and for whom it was of. */
static __noinline int drop_of(__u32 owner, __u32 port, __u32 reason, __u32 slot)
{
	meter_drop(owner, slot);
	meter_drop(port, slot);
	return DROP(reason);
}
