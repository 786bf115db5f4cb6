import type { Dataplane, DataplaneCounters } from "@nve/switch-agent/dataplane/dataplane";
import { DataplaneError } from "@nve/switch-agent/dataplane/error";
import { type Intent, intentKey, type Sample } from "@nve/switch-agent/nve";

/** A dataplane that takes notes. */
export class MemoryDataplane implements Dataplane {
  mtu: number | undefined;
  readonly intents = new Map<string, Intent>();
  readonly ports = new Set<string>();
  /** Why `ensure` fails, for these intents. */
  fault: (intent: Intent) => string | undefined = () => undefined;
  /** What `ensure` waits for. */
  gate: Promise<void> = Promise.resolve();
  ensured = 0;
  closed = false;
  /** As if that had been seen at an access that gleans. */
  sample: (...samples: Sample[]) => void = () => {};
  /** As if somebody had looked for whom the VN does not know. */
  want: (...samples: Sample[]) => void = () => {};
  /** How long ago each MAC behind the overlay was spoken to. */
  unused: number | undefined;
  /** How long ago each MAC was heard. */
  silence: number | undefined;
  /** What an earlier run left. */
  readonly inherited: readonly Intent[] | undefined;

  constructor(inherited?: readonly Intent[]) {
    this.inherited = inherited;
    for (const intent of inherited ?? []) this.intents.set(intentKey(intent), intent);
  }

  async ensure(intents: readonly Intent[]): Promise<void> {
    this.ensured += 1;
    await this.gate;
    const failed = intents.flatMap((intent) => {
      const reason = this.fault(intent);
      return reason === undefined ? [] : [{ intent, reason }];
    });
    for (const intent of intents) {
      if (this.fault(intent) === undefined) this.intents.set(intentKey(intent), intent);
    }
    if (failed.length > 0) throw new DataplaneError(failed);
  }

  async remove(intents: readonly Intent[]): Promise<void> {
    for (const intent of intents) this.intents.delete(intentKey(intent));
  }

  async prune(wanted: readonly Intent[]): Promise<void> {
    const keys = new Set(wanted.map(intentKey));
    for (const key of [...this.intents.keys()]) if (!keys.has(key)) this.intents.delete(key);
  }

  async portUp(port: string): Promise<void> {
    this.ports.add(port);
  }

  async portDown(port: string): Promise<void> {
    this.ports.delete(port);
  }

  onSamples(hear: (samples: readonly Sample[]) => void): void {
    this.sample = (...samples) => hear(samples);
  }

  onWanted(hear: (samples: readonly Sample[]) => void): void {
    this.want = (...samples) => hear(samples);
  }

  unusedMs(): number | undefined {
    return this.unused;
  }

  silentMs(): number | undefined {
    return this.silence;
  }

  async counters(): Promise<DataplaneCounters> {
    return { vns: [], drops: {} };
  }

  async applied(): Promise<readonly Intent[]> {
    return [...this.intents.values()];
  }

  async close(): Promise<void> {
    this.closed = true;
  }
}
