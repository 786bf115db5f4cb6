// One change, and how long until each of 1,000 watching NVEs has it. The watchers are a process of their own, each with a
// TCP connection of its own, as NVEs have.
import { fork } from "node:child_process";
import {
  claimAll,
  claimOf,
  cpuMs,
  createVns,
  file,
  nveSession,
  quantiles,
  round,
  rss,
  unixMs,
  withNva,
} from "./rig.mjs";

const PER_SECOND = 20;
const SECONDS = 10;

export function fanout(store, watchers) {
  return withNva(store, async (nva) => {
    await createVns(nva, 1);
    const session = await nveSession(nva.address, "tor0", "10.0.0.1");
    await claimAll(session, { count: 100 });
    const before = rss(nva);
    const child = fork(file("./watchers.mjs"), [nva.address, String(watchers)], {
      serialization: "advanced",
    });
    try {
      await told(child, "ready", 40_000);
      const memory = rss(nva) - before;
      await changes(session, 2 * PER_SECOND, 1000); // to warm up
      const cpu = cpuMs(nva);
      const sent = await changes(session, SECONDS * PER_SECOND, 2000);
      const used = cpuMs(nva) - cpu;
      child.send("report");
      const { heard, cpuMs: theirs } = await told(child, "heard", 20_000);
      return {
        watchers,
        changes: sent.size,
        ...figures(sent, heard, watchers),
        nvaCpuPercent: round(used / (10 * SECONDS)),
        watchersCpuPercent: round(theirs / (10 * SECONDS)),
        kbPerWatcher: round(memory / watchers / 1024),
      };
    } finally {
      child.kill();
      session.close();
    }
  });
}

/** @returns when each address was reported, by its number */
async function changes(session, count, first) {
  const sent = new Map();
  const begin = performance.now();
  for (let n = 0; n < count; n++) {
    const wait = begin + (n * 1000) / PER_SECOND - performance.now();
    if (wait > 0) await new Promise((resolve) => setTimeout(resolve, wait));
    sent.set(first + n, unixMs());
    await session.report({ claims: [claimOf(1, first + n)] });
  }
  await new Promise((resolve) => setTimeout(resolve, 1000));
  return sent;
}

/** From the report to each watcher, and to the last of them. */
function figures(sent, heard, watchers) {
  const each = [];
  const last = [];
  let missing = 0;
  for (const [n, at] of sent) {
    const times = heard.get(n) ?? [];
    missing += watchers - times.length;
    for (const time of times) each.push(time - at);
    last.push(Math.max(...times) - at);
  }
  const { p50Ms, p99Ms } = quantiles(each);
  const lasts = quantiles(last);
  return { p50Ms, p99Ms, lastP50Ms: lasts.p50Ms, lastP99Ms: lasts.p99Ms, missing };
}

function told(child, what, timeoutMs) {
  return new Promise((resolve, reject) => {
    const late = setTimeout(() => reject(new Error(`the watchers: no "${what}"`)), timeoutMs);
    child.on("message", (message) => {
      if (message.is !== what) return;
      clearTimeout(late);
      resolve(message);
    });
  });
}
