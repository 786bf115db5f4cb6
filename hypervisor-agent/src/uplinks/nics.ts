import type { Mac, Uuid } from "@nve/protocol-spec";
import { Deadlines } from "../stations/deadlines.ts";
import { addName, macsIn, moveMacs, moveName, type Names, removeName } from "../stations/names.ts";
import type { Tree } from "../stations/tree.ts";
import { keyOf, type Nic } from "./nic.ts";
import type { VnKey } from "./spread.ts";

/**
 * The VNICs of this host, by name, and what finds them by what they have: so that an event costs as much as it touches,
 * however many there are. One is changed by a new value in its place (`set`), never in itself.
 */
export class Nics {
  readonly #all = new Map<Uuid, Nic>();
  readonly #interfaces: Names<string> = new Map();
  readonly #macs: Names<Mac> = new Map();
  readonly #vns: Names<VnKey> = new Map();
  /** By the calls to books that they wait for. */
  readonly #calls = new Map<number, Uuid>();
  readonly #behind = new Set<Uuid>();
  readonly #deadlines = new Deadlines<Uuid>();
  #left = new Set<VnKey>();

  get size(): number {
    return this.#all.size;
  }

  get(name: Uuid): Nic | undefined {
    return this.#all.get(name);
  }

  /** In the order in which they came. They may be changed and taken out meanwhile. */
  values(): IterableIterator<Nic> {
    return this.#all.values();
  }

  /** The first that came of those on this interface. */
  on(interfaceName: string): Nic | undefined {
    const [first] = this.#of(this.#interfaces.get(interfaceName));
    return first;
  }

  /** Those that shall have a MAC of this tree, in whatever VN. */
  sharing(tree: Tree): ReadonlySet<Nic> {
    const found = new Set<Nic>();
    for (const mac of macsIn(tree)) for (const nic of this.#of(this.#macs.get(mac))) found.add(nic);
    return found;
  }

  /** Who waits for this call to a book. */
  waitingFor(call: number): Nic | undefined {
    const name = this.#calls.get(call);
    return name === undefined ? undefined : this.#all.get(name);
  }

  /** Those that stay somewhere until the virtual switch is told. */
  behind(): readonly Nic[] {
    return [...this.#of(this.#behind)];
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
    return [...this.#of(this.#deadlines.take(now))];
  }

  set(nic: Nic): void {
    const was = this.#all.get(nic.name);
    this.#all.set(nic.name, nic);
    this.#index(nic.name, was, nic);
  }

  delete(name: Uuid): void {
    const was = this.#all.get(name);
    this.#all.delete(name);
    this.#index(name, was, undefined);
  }

  *#of(names: Iterable<Uuid> = []): IterableIterator<Nic> {
    for (const name of names) {
      const nic = this.#all.get(name);
      if (nic !== undefined) yield nic;
    }
  }

  #index(name: Uuid, was: Nic | undefined, now: Nic | undefined): void {
    moveName(this.#interfaces, name, was?.interface, now?.interface);
    moveMacs(this.#macs, name, was?.wanted, now?.wanted);
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
