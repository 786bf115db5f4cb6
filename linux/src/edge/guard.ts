import {
  type AuthKey,
  DecodeError,
  type EvbRole,
  isAuthentic,
  isGroup,
  type Lldpdu,
  type Mac,
  nonceOf,
  type Seal,
  type SealContext,
  sealed,
  unsealed,
} from "@nve/protocol-spec";

/** Proves to the peer what we say in VDP, and has the peer prove what it says (H26, RFC 8394 Req-11). */
export type Guard = {
  /** ULPDUs that were opened, since the start. As of now: a copy. */
  readonly counters: GuardCounters;
  /**
   * A ULPDU as it goes out; without a nonce of the peer, as it is.
   * @param to where it goes: the peer's own address, or a group's
   * @param peer its newest LLDPDU
   */
  seal(ulpdu: Uint8Array, to: Mac, peer: Lldpdu | undefined): Uint8Array;
  /** What the peer has said; undefined: it does not count, and `onRefused` was told why. */
  open(ulpdu: Uint8Array, from: Mac): Opened | undefined;
};

/** `proven`: whoever said it has one of our keys. */
export type Opened = { body: Uint8Array; proven: boolean };

/** Why a ULPDU does not count. */
export type SealFault = "missing" | "bad" | "replayed" | "unknownKey" | "crowded";

/** `proven` and why not; `crowded`: more senders than counters are kept for. */
export type GuardCounters = Record<"proven" | SealFault, number>;

export type GuardOptions = {
  role: EvbRole;
  /** Our own address; undefined while the interface is not there. */
  mac(): Mac | undefined;
  /** One at least. We seal with that which the peer has used last, and before that with the first. */
  keys: readonly AuthKey[];
  /** What has no seal does not count. One that has a wrong seal never does. */
  required: boolean;
  /** Ours, 16 octets, random and new at each start: the peer knows it from our LLDPDUs. */
  nonce: Uint8Array;
  /** Since 1970, microseconds: where counters begin, so that they rise over restarts too. */
  unixMicros(): number;
  /** The first of this sender's with this key. */
  onProven(from: Mac, keyId: number): void;
  onRefused(from: Mac, why: SealFault): void;
};

/** Senders times keys: who has a key can make more of them up, and is refused. */
const MAX_COUNTERS = 1024;

export function openGuard(options: GuardOptions): Guard {
  const { role, keys, required, nonce } = options;
  /** The last counter of each sender and key; it lives as long as the nonce. */
  const last = new Map<string, number>();
  /** The key that each peer has used last, and any. */
  const spoken = new Map<Mac, AuthKey>();
  let lastSpoken: AuthKey | undefined;
  let counter = 0;
  const counters = { proven: 0, missing: 0, bad: 0, replayed: 0, unknownKey: 0, crowded: 0 };

  function seal(ulpdu: Uint8Array, to: Mac, peer: Lldpdu | undefined): Uint8Array {
    const sender = options.mac();
    const theirs = peer === undefined ? undefined : nonceOf(peer.tlvs);
    const key = (isGroup(to) ? lastSpoken : spoken.get(to)) ?? keys[0];
    if (sender === undefined || theirs === undefined || key === undefined) return ulpdu;
    counter = Math.max(counter + 1, Math.floor(options.unixMicros()));
    return sealed(ulpdu, key, counter, { from: role, sender, nonce: theirs });
  }

  function open(ulpdu: Uint8Array, from: Mac): Opened | undefined {
    const found = read(ulpdu);
    if (found === "none")
      return required ? refused(from, "missing") : { body: ulpdu, proven: false };
    if (found === "bad") return refused(from, found);
    const fault = faultOf(found, from);
    if (fault !== undefined) return refused(from, fault);
    counters.proven += 1;
    return { body: found.body, proven: true };
  }

  function refused(from: Mac, why: SealFault): undefined {
    counters[why] += 1;
    options.onRefused(from, why);
  }

  function faultOf({ body, seal }: Sealed, from: Mac): SealFault | undefined {
    const key = keys.find(({ id }) => id === seal.keyId);
    if (key === undefined) return "unknownKey";
    const context: SealContext = { from: other(role), sender: from, nonce };
    if (!isAuthentic(body, seal, key, context)) return "bad";
    const whose = `${from} ${key.id}`;
    const before = last.get(whose);
    if (before !== undefined && seal.counter <= before) return "replayed";
    if (before === undefined && last.size >= MAX_COUNTERS) return "crowded";
    last.set(whose, seal.counter);
    spoken.set(from, key);
    lastSpoken = key;
    if (before === undefined) options.onProven(from, key.id);
    return undefined;
  }

  return {
    seal,
    open,
    get counters() {
      return { ...counters };
    },
  };
}

type Sealed = { body: Uint8Array; seal: Seal };

function read(ulpdu: Uint8Array): Sealed | "none" | "bad" {
  try {
    return unsealed(ulpdu) ?? "none";
  } catch (error) {
    if (error instanceof DecodeError) return "bad";
    throw error;
  }
}

const other = (role: EvbRole): EvbRole => (role === "bridge" ? "station" : "bridge");
