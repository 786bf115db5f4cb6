import type { LinkState } from "@nve/linux";
import type { Log } from "@nve/program/log";
import {
  chassisText,
  type EvbAgreed,
  evbTlvFor,
  type Mac,
  type Neighbour,
  type NveId,
  portText,
} from "@nve/protocol-spec";
import { withoutFor } from "./beside.ts";
import { neighbourFields } from "./names.ts";

/** What a port says of its link and of who is at the other end (RFC 8394 §6). */
export class PortLog {
  readonly #log: Log;
  readonly #nve: NveId;
  readonly #stations: number;
  /** That there are too many stations is said once. */
  #warned = false;

  /** @param stations how many there may be */
  constructor(log: Log, { nve, stations }: { nve: NveId; stations: number }) {
    this.#log = log;
    this.#nve = nve;
    this.#stations = stations;
  }

  link(state: LinkState): void {
    if (state === "absent") this.#log.warn("no such interface: waiting for it");
    else this.#log.info(`link ${state}`);
  }

  evb({ peer, ...numbers }: EvbAgreed, station: Mac | undefined): void {
    const fields = this.#stations > 1 ? { station, ...numbers } : numbers;
    this.#log.info(fields, peer ? "EVB up" : "EVB down");
  }

  /** @param all neighbours of the port */
  neighbour(
    what: "new" | "changed" | "gone",
    neighbour: Neighbour,
    all: () => readonly Neighbour[],
  ): void {
    if (what === "changed") return;
    this.#log.info(neighbourFields(neighbour), `neighbour ${what}`);
    if (what === "new") this.#ourselves(neighbour);
    if (what === "gone" || !isStation(neighbour)) return;
    if (this.#stations === 1) this.#several(all());
    const without = withoutFor(neighbour).join(", ");
    if (without === "") return;
    this.#log.info({ mac: neighbour.source, without }, "it does not read these TLVs: not sent");
  }

  tooMany(station: Mac): void {
    if (this.#warned) return;
    this.#warned = true;
    const fields = { station, stations: this.#stations };
    this.#log.warn(fields, "more stations than the port's `stations`: the newest are not heard");
  }

  undelivered(station: Mac, tlvs: number): void {
    this.#log.debug({ station, tlvs }, "VDP not delivered: no ECP acknowledgement");
  }

  /** Each port lends tags of its own: where two are one network, a tag means a VN here and another there (H3, V8). */
  #ourselves({ lldpdu: { chassisId, portId } }: Neighbour): void {
    if (chassisText(chassisId) !== this.#nve) return;
    const what =
      "this switch hears itself: two of its ports are in one access network and mix their VNs, or there is a loop, or another switch has its name";
    this.#log.warn({ heard: portText(portId) }, what);
  }

  /** With one station expected each takes the other's place, for all answer what one is told. */
  #several(neighbours: readonly Neighbour[]): void {
    const stations = [...new Set(neighbours.filter(isStation).map(({ source }) => source))];
    if (this.#warned || stations.length < 2) return;
    this.#warned = true;
    const what = "several stations on a port for one: is a bridge between? Set its `stations`";
    this.#log.warn({ stations }, what);
  }
}

const isStation = ({ lldpdu: { tlvs } }: Neighbour): boolean =>
  evbTlvFor("bridge", tlvs) !== undefined;
