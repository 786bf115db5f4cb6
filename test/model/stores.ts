import { hasEtcd } from "../support/etcd.ts";
import type { Authorities } from "./authorities.ts";
import { etcdNvas } from "./etcd-nvas.ts";
import { lmdbNva, memoryNva } from "./one-nva.ts";

type StoreKind = {
  start: () => Promise<Authorities>;
  /** What this machine lacks of what it needs. */
  missing: () => string | undefined;
};

/** Over what authorities keep their rows: a store is in the model-based test when it is here. */
export const stores: Record<string, StoreKind> = {
  memory: { start: memoryNva, missing: () => undefined },
  lmdb: { start: lmdbNva, missing: () => undefined },
  etcd: { start: etcdNvas, missing: () => (hasEtcd ? undefined : "etcd") },
};
