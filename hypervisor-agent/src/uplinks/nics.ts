import type { Uuid } from "@nve/protocol-spec";
import { Deadlines } from "../stations/deadlines.ts";
import { Named } from "../stations/named.ts";
import { addName, type Names, removeName } from "../stations/names.ts";
import { keyOf, type Nic } from "./nic.ts";
import type { VnKey } from "./spread.ts";

/** The VNICs of this host, also by VN and by what they wait for. */
export class Nics extends Named<Nic> {
  readonly #vns: Names<VnKey> = new Map();
  /** By the calls to books that they wait for. */
  readonly #calls = new Map<number, Uuid>();
  readonly #behind = new Set<Uuid>();
  readonly #deadlines = new Deadlines<Uuid>();
  #left = new Set<VnKey>();

  /** Who waits for this call to a book. */
  waitingFor(call: number): Nic | undefined {
    const name = this.#calls.get(call);
    return name === undefined ? undefined : this.get(name);
  }

  /** Those that stay somewhere until the virtual switch is told. */
  behind(): readonly Nic[] {
    return [...this.those(this.#behind)];
  }

  /** VNs that none of them is in any more, each once; a request under way is in those of before, too. */
  takeLeft(): readonly VnKey[] {
    if (this.#left.size === 0) return [];
    const left = [...this.#left].filter((vn) => !this.#vns.has(vn));
    this.#left = new Set();
    return left;
  }

  /** When the first of the operator's requests is given up, Infinity: none is under way. */
  get firstDue(): number {
    return this.#deadlines.first;
  }

  /** Those whose request is to be given up by then. */
  takeDue(now: number): readonly Nic[] {
    return [...this.those(this.#deadlines.take(now))];
  }

  protected override index(name: Uuid, was: Nic | undefined, now: Nic | undefined): void {
    super.index(name, was, now);
    if (now === undefined || now.behind.length === 0) this.#behind.delete(name);
    else this.#behind.add(name);
    if (was?.wanted !== now?.wanted || was?.call?.older !== now?.call?.older)
      this.#moveVns(name, vnsOf(was), vnsOf(now));
    if (was?.call === now?.call) return;
    for (const { id } of was?.call?.open.values() ?? []) this.#calls.delete(id);
    for (const { id } of now?.call?.open.values() ?? []) this.#calls.set(id, name);
    this.#deadlines.set(name, (now?.call?.deadline ?? Number.POSITIVE_INFINITY) + LATER_MS);
  }

  #moveVns(name: Uuid, were: ReadonlySet<VnKey>, are: ReadonlySet<VnKey>): void {
    for (const vn of are) if (!were.has(vn)) addName(this.#vns, vn, name);
    for (const vn of were) {
      if (are.has(vn)) continue;
      removeName(this.#vns, vn, name);
      if (!this.#vns.has(vn)) this.#left.add(vn);
    }
  }
}

/** The books say better why it took too long, and are asked for the same time. */
const LATER_MS = 1;

const vnsOf = (nic: Nic | undefined): ReadonlySet<VnKey> =>
  new Set([...(nic?.wanted ?? []), ...(nic?.call?.older ?? [])].map(keyOf));
