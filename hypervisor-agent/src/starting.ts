import { Refused } from "@nve/program/errors";

/** Less than the shortest wait of a command (5 s). */
const PATIENCE_MS = 4000;

/** The agent for those who ask before it is there: its socket is open first, its dataplane a second later. */
export class Starting<T> {
  #tell: (value: T) => void = () => {};
  readonly #patienceMs: number;
  readonly started = new Promise<T>((resolve) => {
    this.#tell = resolve;
  });

  constructor(patienceMs = PATIENCE_MS) {
    this.#patienceMs = patienceMs;
  }

  isOver(value: T): void {
    this.#tell(value);
  }

  /** @throws Refused when it takes too long */
  async ready(): Promise<T> {
    let timer: NodeJS.Timeout | undefined;
    const late = new Promise<never>((_, reject) => {
      const refused = new Refused("the agent is starting: try again");
      timer = setTimeout(() => reject(refused), this.#patienceMs);
    });
    try {
      return await Promise.race([this.started, late]);
    } finally {
      clearTimeout(timer);
    }
  }
}
