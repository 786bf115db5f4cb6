const signals = ["SIGINT", "SIGTERM", "SIGHUP"] as const;

/** ^C and its like become an abort: the work cleans up after itself. Asking twice changes nothing. */
export async function untilInterrupted<T>(work: (signal: AbortSignal) => Promise<T>): Promise<T> {
  const interrupt = new AbortController();
  const abort = () => interrupt.abort();
  for (const name of signals) process.on(name, abort);
  try {
    return await work(interrupt.signal);
  } finally {
    for (const name of signals) process.off(name, abort);
  }
}
