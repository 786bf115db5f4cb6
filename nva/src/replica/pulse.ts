import { Instant } from "@nve/protocol-spec";
import type { EtcdClient } from "../store/etcd/client.ts";
import { methods } from "../store/etcd/messages.ts";

const lookMs = 200;

/** Shares of a lease: it is silent after the first, and taken for gone when that has lasted for the second. */
const silentShare = 0.5;
const lastsShare = 0.2;

/**
 * Watches whether the one that decides still renews its lease. etcd tells that, not the one itself: who cannot reach it, and etcd
 * can, is no witness. Of a lease of 2 s it is taken for gone when it has not renewed it for 1.4 s, where the lease would last
 * for 2.5; of one of 1 s nothing can be said, since etcd tells whole seconds.
 *
 * @param gone once; to end the time of one that lives is safe, since it is fenced
 * @returns how to end it
 */
export function watchPulse(client: EtcdClient, lease: bigint, gone: () => void): () => void {
  const { clock } = client;
  let since: Instant | undefined;
  let heard: Instant | undefined;
  let over = false;
  let callOff = (): void => {};

  const look = async (): Promise<void> => {
    const asked = clock.now();
    try {
      const { ttl, granted } = await client.call(methods.timeToLive, { id: lease });
      if (over) return;
      const [left, seconds] = [Number(ttl), Number(granted)];
      const silent = Math.floor(seconds * silentShare);
      const isSilent = seconds >= 2 && left >= 0 && left + 1 <= seconds - silent;
      // In a time without an answer it may have been renewed, and that be over again.
      const isGap = heard === undefined || asked - heard > silent * 1000;
      heard = clock.now();
      if (!isSilent) since = undefined;
      else if (since === undefined || isGap) since = heard;
      else if (asked - since >= seconds * 1000 * lastsShare) {
        over = true;
        gone();
        return;
      }
    } catch {
      // etcd's affair: no sign of anything
    }
    if (!over) callOff = clock.at(Instant(clock.now() + lookMs), look);
  };

  void look();
  return () => {
    over = true;
    callOff();
  };
}
