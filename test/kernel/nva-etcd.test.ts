import { systemClock } from "@nve/linux/clock";
import { type EtcdStore, etcdStore } from "@nve/nva/store/etcd/store";
import type { Store } from "@nve/nva/store/store";
import { afterAll, afterEach, beforeAll, describe } from "vitest";
import { storeContract } from "../contracts/store.ts";
import { type EtcdCluster, etcdCluster, hasEtcd } from "../support/etcd.ts";

describe.skipIf(!hasEtcd)("with an etcd", () => {
  let etcd: EtcdCluster;
  let made = 0;
  const stores: Store[] = [];
  beforeAll(async () => {
    etcd = await etcdCluster();
  });
  afterAll(() => etcd.stop());

  async function opened(prefix: string, keep?: number): Promise<EtcdStore> {
    const { endpoints } = etcd;
    const options = { endpoints, prefix, clock: systemClock, ...(keep !== undefined && { keep }) };
    const store = await etcdStore(options);
    stores.push(store);
    return store;
  }
  const fresh = (keep?: number): Promise<EtcdStore> => {
    made += 1;
    return opened(`/test/${made}`, keep);
  };
  const clear = async (): Promise<void> => {
    for (const store of stores.splice(0)) await store.close();
  };

  storeContract("etcd", { make: fresh, clear });
  afterEach(clear);
});
