import { type Profiler, Session } from "node:inspector";

/** Which code has run: V8's block coverage of this process, for one script. */
export type Coverage = {
  /** Runs something. @returns the characters of the source that ran for the first time since `startCoverage` */
  during(run: () => Promise<void>): Promise<Set<number>>;
  /** Runs something again. @returns which of those characters run */
  among(run: () => Promise<void>, wanted: ReadonlySet<number>): Promise<Set<number>>;
  /** Characters of the source that have run. */
  readonly covered: number;
  stop(): void;
};

/** @param url of the script: what does not begin with it is not counted */
export function startCoverage(url: string): Coverage {
  const session = new Session();
  session.connect();
  session.post("Profiler.enable");
  session.post("Profiler.startPreciseCoverage", { callCount: true, detailed: true });
  const seen = new Set<number>();

  /** What has run since the last call. */
  function take(): Generator<number> {
    const ranges: Profiler.CoverageRange[] = [];
    session.post("Profiler.takePreciseCoverage", (error, taken) => {
      if (error !== null) throw error;
      const [script] = taken.result.filter((one) => one.url.startsWith(url));
      for (const one of script?.functions ?? []) ranges.push(...one.ranges);
    });
    return ran(ranges);
  }

  return {
    during: async (run) => {
      await run();
      const fresh = new Set<number>();
      for (const place of take()) {
        if (seen.has(place)) continue;
        seen.add(place);
        fresh.add(place);
      }
      return fresh;
    },
    among: async (run, wanted) => {
      await run();
      const hit = new Set<number>();
      for (const place of take()) if (wanted.has(place)) hit.add(place);
      return hit;
    },
    get covered() {
      return seen.size;
    },
    stop: () => session.disconnect(),
  };
}

/** Functions and blocks are nested; the innermost around a character says whether it has run. */
function* ran(ranges: Profiler.CoverageRange[]): Generator<number> {
  const within: Profiler.CoverageRange[] = [];
  let at = 0;
  function* upTo(offset: number): Generator<number> {
    for (; at < offset; at++) if ((within.at(-1)?.count ?? 0) > 0) yield at;
  }
  for (const range of ranges.sort(
    (a, b) => a.startOffset - b.startOffset || b.endOffset - a.endOffset,
  )) {
    for (let top = within.at(-1); top && top.endOffset <= range.startOffset; top = within.at(-1)) {
      yield* upTo(top.endOffset);
      within.pop();
    }
    if (within.length > 0) yield* upTo(range.startOffset);
    at = range.startOffset;
    within.push(range);
  }
  for (let top = within.at(-1); top; top = within.at(-1)) {
    yield* upTo(top.endOffset);
    within.pop();
  }
}
