import { concat, Mac, macOctets, uint, type Vni } from "@nve/protocol-spec";
import {
  type AccessIntent,
  type Intent,
  type IntentChange,
  intentKey,
  type Keyed,
  type LocalPlace,
  type Place,
  placeKey,
  type Sample,
  type VnIntent,
} from "@nve/switch-agent/nve";

/**
 * What an earlier run left in the dataplane and is forwarded still, while stations and the NVA have not all been heard.
 * What they say is added to it: a flood list does not become shorter, and neither a VN nor a tag goes away.
 */
export class Inheritance {
  readonly #vns = new Map<Vni, VnIntent>();
  readonly #accesses = new Map<string, AccessIntent>();
  /** MACs here, by place. */
  readonly #macs = new Map<string, { vni: Vni; mac: Mac; at: LocalPlace }[]>();
  /** MACs behind the overlay. */
  readonly #remotes = new Map<Vni, Mac[]>();
  #isOver: boolean;

  constructor(intents: readonly Intent[] | undefined) {
    this.#isOver = intents === undefined;
    for (const intent of intents ?? []) {
      if (intent.is === "vn") this.#vns.set(intent.vni, intent);
      else if (intent.is === "access") this.#accesses.set(intentKey(intent), intent);
      else if (intent.at.is === "remote") {
        const known = this.#remotes.get(intent.vni);
        if (known === undefined) this.#remotes.set(intent.vni, [intent.mac]);
        else known.push(intent.mac);
      } else {
        const { vni, mac, at } = intent;
        const known = this.#macs.get(placeKey(at));
        if (known === undefined) this.#macs.set(placeKey(at), [{ vni, mac, at }]);
        else known.push({ vni, mac, at });
      }
    }
  }

  get isOver(): boolean {
    return this.#isOver;
  }

  end(): void {
    this.#isOver = true;
    for (const kept of [this.#vns, this.#accesses, this.#macs, this.#remotes]) kept.clear();
  }

  /** The tags that were lent on a port. */
  tagsOf(port: string): { vid: AccessIntent["vid"]; vni: Vni }[] {
    const all = [...this.#accesses.values()].filter((access) => access.port === port);
    return all.map(({ vid, vni }) => ({ vid, vni }));
  }

  /** MACs that were behind the overlay in a VN. */
  remotesOf(vni: Vni | undefined): readonly Mac[] {
    return (vni === undefined ? undefined : this.#remotes.get(vni)) ?? [];
  }

  /** Everything that was here is wanted again. */
  isConfirmed(isWanted: (intent: Keyed) => boolean): boolean {
    const macs = [...this.#macs.values()].flat();
    return (
      [...this.#accesses.values()].every(isWanted) &&
      macs.every(({ vni, mac }) => isWanted({ is: "mac", vni, mac }))
    );
  }

  /** A change as the dataplane is to make it now. */
  with(change: IntentChange): IntentChange {
    if (this.#isOver) return change;
    return {
      ensure: change.ensure.map((intent) => (intent.is === "vn" ? this.#withOld(intent) : intent)),
      remove: change.remove.filter((intent) => intent.is === "mac" || !this.#isKept(intent)),
    };
  }

  /**
   * MACs that were seen at a place which learns from frames, as frames of theirs: the dataplane knows them, so it
   * would show them to nobody.
   */
  seenAt({ port, vid, vni, glean }: AccessIntent): Sample[] {
    if (this.#isOver || !glean) return [];
    const place: LocalPlace = { is: "local", port, vid };
    const macs = (this.#macs.get(placeKey(place)) ?? []).filter((one) => one.vni === vni);
    return macs.map(({ mac }) => ({ vni, at: place, octets: frameOf(mac) }));
  }

  #isKept(intent: Intent): boolean {
    return intent.is === "vn" ? this.#vns.has(intent.vni) : this.#accesses.has(intentKey(intent));
  }

  #withOld(intent: VnIntent): VnIntent {
    const old = this.#vns.get(intent.vni);
    if (old === undefined) return intent;
    const known = new Set(intent.flood.map(placeKey));
    const more: readonly Place[] = old.flood.filter((place) => !known.has(placeKey(place)));
    const floodUnknown = intent.floodUnknown || old.floodUnknown;
    return { ...intent, floodUnknown, flood: [...intent.flood, ...more] };
  }
}

/** To nobody, of a protocol for local experiments (802 §9.2.4): only its source counts. */
const frameOf = (mac: Mac): Uint8Array =>
  concat(macOctets(Mac("02:00:00:00:00:00")), macOctets(mac), uint(2, 0x88b5), new Uint8Array(46));
