// Words of a VN in the order of their numbers in northbound.proto, from 1.
export const services = ["l2", "l3"] as const;
export const floods = ["head-end", "multicast"] as const;
export const suspendeds = ["deliver", "drop", "unreachable"] as const;
export const unknowns = ["flood", "drop"] as const;
export const admissions = ["open", "registered", "strict"] as const;
