import type { Vni } from "@nve/protocol-spec";
import type { TorMaps } from "./maps.ts";
import type { Meters } from "./meters.ts";
import type { IntentRecord, PlaceId } from "./record.ts";

/** Other NVEs that are believed in a VN: those that anything of it is at (P11, M10). */
export class Peers {
  readonly #maps: Pick<TorMaps, "peers">;
  readonly #record: IntentRecord;
  readonly #meters: Meters;

  constructor(maps: Pick<TorMaps, "peers">, record: IntentRecord, meters: Meters) {
    this.#maps = maps;
    this.#record = record;
    this.#meters = meters;
  }

  /** Peers in `more` are believed before `act`, those in `less` no longer after it. */
  with(vni: Vni, more: readonly PlaceId[], less: readonly PlaceId[], act: () => void): void {
    const added: PlaceId[] = [];
    try {
      for (const id of more) {
        this.count(vni, id, 1);
        added.push(id);
      }
      act();
    } catch (error) {
      for (const id of added) this.count(vni, id, -1);
      this.#record.settle(vni);
      throw error;
    }
    for (const id of less) this.count(vni, id, -1);
    this.#record.settle(vni);
  }

  disbelieve(peers: readonly { vni: Vni; id: PlaceId }[]): void {
    for (const { vni, id } of peers) this.count(vni, id, -1);
    for (const { vni } of peers) this.#record.settle(vni);
  }

  count(vni: Vni, id: PlaceId, by: 1 | -1): void {
    const place = this.#record.place(id);
    if (place.is === "local") return;
    const { peers } = this.#record.vn(vni);
    const count = (peers.get(place.vtep) ?? 0) + by;
    const key = { vni, vtep: place.vtep };
    const meter = this.#meters.numberFor({ is: "peer", vtep: place.vtep });
    if (count === 1 && by === 1) this.#maps.peers.set(key, { places: 1, meter });
    if (count === 0) this.#maps.peers.delete(key);
    if (count === 0) peers.delete(place.vtep);
    else peers.set(place.vtep, count);
  }
}
