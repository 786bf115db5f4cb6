/** Who is due when. The first of all is found without a walk: a heap, in which what has been set anew stays until its turn. */
export class Deadlines<Key> {
  readonly #at = new Map<Key, number>();
  #heap: Entry<Key>[] = [];
  #count = 0;

  /** The earliest; Infinity: nobody is due, ever. */
  get first(): number {
    for (let [top] = this.#heap; top !== undefined; [top] = this.#heap) {
      if (this.#at.get(top.key) === top.at) return top.at;
      this.#pop();
    }
    return Number.POSITIVE_INFINITY;
  }

  /** @param at Infinity: never; -Infinity: before all that have a time */
  set(key: Key, at: number): void {
    if ((this.#at.get(key) ?? Number.POSITIVE_INFINITY) === at) return;
    if (at === Number.POSITIVE_INFINITY) {
      this.#at.delete(key);
    } else {
      this.#at.set(key, at);
      this.#push({ at, key, order: this.#count++ });
      if (this.#heap.length > 2 * this.#at.size + SPARE) this.#tidy();
    }
  }

  /** Those that are due by then, the earliest first. They have no time any more. */
  take(now: number): Key[] {
    const due: Key[] = [];
    while (this.first <= now) {
      const { key } = this.#pop();
      this.#at.delete(key);
      due.push(key);
    }
    return due;
  }

  #push(entry: Entry<Key>): void {
    const heap = this.#heap;
    let at = heap.length;
    for (let up = parent(at); at > 0; at = up, up = parent(at)) {
      const above = heap[up];
      if (above === undefined || before(above, entry)) break;
      heap[at] = above;
    }
    heap[at] = entry;
  }

  #pop(): Entry<Key> {
    const heap = this.#heap;
    const [top] = heap;
    const last = heap.pop();
    if (top === undefined || last === undefined) throw new RangeError("nobody is due");
    if (heap.length > 0) this.#sink(last);
    return top;
  }

  /** From the top. */
  #sink(entry: Entry<Key>): void {
    const heap = this.#heap;
    let at = 0;
    for (;;) {
      const [left, right] = [heap[2 * at + 1], heap[2 * at + 2]];
      const isRight = left !== undefined && right !== undefined && before(right, left);
      const below = isRight ? right : left;
      if (below === undefined || before(entry, below)) break;
      heap[at] = below;
      at = 2 * at + (isRight ? 2 : 1);
    }
    heap[at] = entry;
  }

  /** Without what has been set anew. */
  #tidy(): void {
    const current = this.#heap.filter(({ key, at }) => this.#at.get(key) === at);
    this.#heap = current.sort((a, b) => (before(a, b) ? -1 : 1));
  }
}

/** Of two at the same time the first is who was set first. */
type Entry<Key> = { at: number; key: Key; order: number };

/** So many entries beyond those in force are not worth the work. */
const SPARE = 64;

const before = <Key>(a: Entry<Key>, b: Entry<Key>): boolean =>
  a.at < b.at || (a.at === b.at && a.order < b.order);

const parent = (at: number): number => (at - 1) >> 1;
