import { turn } from "@nve/linux/turn";
import type { VnId } from "@nve/protocol-spec";
import type { Told } from "@nve/switch-agent/nve";

/** What the NVA says that VNs come to, at one revision. */
export type NvaDigests = { revision: bigint; vns: ReadonlyMap<VnId, Omit<Told, "changes">> };

type Surroundings = {
  /** The VNs that are watched; `pull`: of these only the members are told. */
  watched(): Iterable<{ vn: VnId; pull: boolean }>;
  /** What was told of a VN; undefined while it is not told wholly, "later": ask again. */
  told(vn: VnId): Told | "later" | undefined;
  /** Undefined: no answer. */
  ask(vns: readonly VnId[]): Promise<NvaDigests | undefined>;
  /** We hold something else than the NVA. */
  differs(vn: VnId, here: Omit<Told, "changes">, there: Omit<Told, "changes">): void;
};

/** VNs compared and found to differ, those that changed meanwhile, and questions without an answer. */
export type DigestCounts = Record<"compared" | "differing" | "changing" | "unanswered", number>;

/**
 * Compares what is held of each VN with what the NVA says that it comes to, against silent divergence (A16). Both are
 * of one revision when a bookmark at or after that of the answer finds the VN as it was when the question was asked:
 * nothing was told of it in between.
 */
export class DigestCheck {
  readonly counters: DigestCounts = { compared: 0, differing: 0, changing: 0, unanswered: 0 };
  readonly #around: Surroundings;
  #asking = false;
  #round = 0;
  /** How often each VN was found to differ, the last times that it was compared. */
  readonly #inARow = new Map<VnId, number>();
  /** Answers that wait for the bookmark. */
  #waiting: { answer: NvaDigests; before: ReadonlyMap<VnId, number> }[] = [];

  constructor(around: Surroundings) {
    this.#around = around;
  }

  /** Asks for all VNs; not while an earlier round is under way. */
  async begin(): Promise<void> {
    if (this.#asking || this.#waiting.length > 0) return;
    this.#asking = true;
    this.#round += 1;
    const round = this.#round;
    const vns = [...this.#around.watched()].map(({ vn }) => vn);
    for (let at = 0; at < vns.length; at += VNS) {
      const some = vns.slice(at, at + VNS);
      const before = new Map<VnId, number>();
      for (const vn of some) {
        let told = this.#around.told(vn);
        for (; told === "later"; told = this.#around.told(vn)) await turn();
        if (told !== undefined) before.set(vn, told.changes);
      }
      if (before.size === 0) continue;
      const answer = await this.#around.ask([...before.keys()]);
      if (round !== this.#round) return;
      if (answer === undefined) this.counters.unanswered += 1;
      else this.#waiting.push({ answer, before });
    }
    this.#asking = false;
  }

  /** Everything up to this revision has been told. */
  bookmark(revision: bigint): void {
    const ready = this.#waiting.filter(({ answer }) => answer.revision <= revision);
    if (ready.length === 0) return;
    this.#waiting = this.#waiting.filter((one) => !ready.includes(one));
    const pulled = new Map([...this.#around.watched()].map(({ vn, pull }) => [vn, pull]));
    for (const { answer, before } of ready) {
      for (const [vn, there] of answer.vns)
        this.#compare(vn, before.get(vn), there, pulled.get(vn) ?? false);
    }
  }

  /** The session is over. */
  reset(): void {
    this.#round += 1;
    this.#asking = false;
    this.#waiting = [];
    this.#inARow.clear();
  }

  #compare(
    vn: VnId,
    before: number | undefined,
    there: Omit<Told, "changes">,
    pull: boolean,
  ): void {
    const here = this.#around.told(vn);
    if (here === undefined || here === "later" || here.changes !== before) {
      this.counters.changing += 1;
      return;
    }
    this.counters.compared += 1;
    const members = here.members === there.members && here.membersDigest === there.membersDigest;
    const mappings = pull || (here.mappings === there.mappings && here.digest === there.digest);
    if (members && mappings) {
      this.#inARow.delete(vn);
      return;
    }
    this.counters.differing += 1;
    const times = (this.#inARow.get(vn) ?? 0) + 1;
    this.#inARow.set(vn, times);
    // Where telling it anew does not help it is done ever less often.
    if (Math.log2(times) % 1 === 0) this.#around.differs(vn, here, there);
  }
}

/** In one question. */
const VNS = 1000;
