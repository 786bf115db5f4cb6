/* SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only */
/* What the next agent has to know of this one (../estate.ts). No program reads it: it is pinned with the other maps. */
#pragma once
#include <nve-frame.h>

/* `layout`: of all maps; `tunnel`: the device's interface. */
struct kept { __u32 layout, tunnel, port, zero; __u32 vtep[4]; };

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct kept);
} kept SEC(".maps");

/* The access ports, by interface; 1: it was not promiscuous before. */
HASH(kept_ports, __u32, __u32, 4096);

/* The tunnel device and the access ports, by interface: the kernel takes an interface out that is deleted. */
struct {
	__uint(type, BPF_MAP_TYPE_DEVMAP_HASH);
	__uint(max_entries, 4097);
	__type(key, __u32);
	__type(value, __u32);
} kept_devices SEC(".maps");
