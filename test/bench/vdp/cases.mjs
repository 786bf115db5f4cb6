import { fileURLToPath } from "node:url";
import {
  cpuMs,
  port,
  profiled,
  run,
  start,
  startLldpad,
  startSwitchAgent,
  timers,
  until,
} from "./rig.mjs";
import { listen } from "./wire.mjs";

const file = (name) => fileURLToPath(new URL(`./${name}.mjs`, import.meta.url));

/** Every station with every bridge; the first pair is the baseline. */
export function cases(counts, vns) {
  const pairs = [
    { station: "lldpad", bridge: "lldpad" },
    { station: "lldpad", bridge: "ours" },
    { station: "scripted", bridge: "lldpad" },
    { station: "scripted", bridge: "ours" },
    { station: "ours", bridge: "ours" },
  ];
  return counts.flatMap((vsis) =>
    pairs.map((pair) => ({
      ...pair,
      name: `${pair.station}-${pair.bridge}`,
      vsis,
      vns: Math.min(vns, vsis),
    })),
  );
}

/** One pair, with programs of its own, so that nothing is known from the case before. */
export async function runCase(rig, { name, station, bridge, vsis, vns }) {
  const running = [];
  try {
    const program =
      bridge === "lldpad"
        ? await startLldpad(rig, "bridge", "bridge")
        : await startSwitchAgent(rig, 1);
    running.push(program);
    const [mac] = JSON.parse(await run(rig, "station", "ip", "-j", "link", "show", port(0)));
    const wire = await listen(rig, mac.address);
    running.push(wire);
    const ask = await stations[station](rig, running, bridge);
    const before = cpuMs(program);
    ask({ first: 0, count: vsis, vns });
    await wire.answers(vsis, QUIET_MS);
    const cpu = cpuMs(program) - before;
    const burst = wire.take();
    // With all of them there, some more, one by one.
    const single = await oneByOne(wire, (n) => ask({ first: 40_000 + n, count: 1, vns }));
    // Once more as many: the programs have run for a while then.
    let warm;
    if (vsis > 1 && station !== "lldpad" && bridge === "ours") {
      ask({ first: 10_000, count: vsis, vns });
      await wire.answers(vsis, QUIET_MS);
      warm = summary(wire.take());
    }
    return {
      ...{ name, station, bridge, vsis, vns },
      burst: { ...summary(burst), cpuUsPerVsi: Math.round((cpu * 1000) / vsis) },
      single: figures(single),
      warm,
      note: noteOn(burst, vsis),
    };
  } finally {
    for (const program of running.reverse()) await program.stop();
  }
}

/** Where a bridge falls short. */
function noteOn({ asked, answered, refused, repeats }, vsis) {
  return [
    asked < vsis ? `${vsis - asked} never asked for` : "",
    answered < asked ? `${asked - answered} never answered` : "",
    refused > 0 ? `${refused} refused` : "",
    repeats > 0 ? `${repeats} ECPDUs sent again` : "",
  ]
    .filter(Boolean)
    .join(", ");
}

/** Each after the answer to the one before; those at the beginning warm up the programs and do not count. A bridge that loses three has no more to show. */
async function oneByOne(wire, ask) {
  const times = [];
  let missed = 0;
  for (let n = 0; n < WARM_UP + SINGLES && missed < 3; n++) {
    ask(n);
    await wire.answers(1, 1000);
    const { latencies } = wire.take();
    if (latencies.length === 0) missed += 1;
    if (n >= WARM_UP) times.push(...latencies);
  }
  return times;
}

const QUIET_MS = 10_000;
const WARM_UP = 100;
const SINGLES = 200;

/** Each asks for VSIs, once it and the bridge know each other. */
const stations = {
  lldpad: async (rig, running) => {
    running.push(await startLldpad(rig, "station", "station"));
    await until("EVB at lldpad's station", async () =>
      /bgid/.test(await run(rig, "station", ...neighbourEvb)),
    );
    await settled();
    return (await child(rig, running, "lldpad-client", { name: port(0) })).tell;
  },
  scripted: async (rig, running) => {
    const { tell } = await child(rig, running, "scripted", what);
    await settled();
    return tell;
  },
  ours: async (rig, running) => {
    const { tell, told } = await child(rig, running, "station", what);
    await until("EVB at our station", async () => {
      tell({ do: "ready" });
      return (await told("ready")).ready;
    });
    return (asked) => tell({ do: "attach", ...asked });
  },
};

const neighbourEvb = ["lldptool", "-t", "-n", "-i", port(0), "-g", "ncb", "-V", "evb"];
const what = { name: port(0), ports: [port(0)], timers: { ...timers, rte: 14 } };
/** lldpad takes requests with GroupIDs about a second after it has heard the other end. */
const settled = () => new Promise((resolve) => setTimeout(resolve, 3500));

/** A program of this folder in the station's node: lines of JSON in and out. */
export async function child(rig, running, name, argument) {
  const words = [
    process.execPath,
    ...profiled([file(name), JSON.stringify(argument)]).filter((word) => word !== process.execPath),
  ];
  const program = start(rig, "station", name, words, { stdio: ["pipe", "pipe", "inherit"] });
  const told = lines(program.child.stdout);
  const stop = async () => {
    program.child.stdin.end(); // it ends by itself then
    await program.ended;
  };
  running.push({ stop });
  await told("started");
  return { told, tell: (command) => program.child.stdin.write(`${JSON.stringify(command)}\n`) };
}

/** @returns waits for the next line that says `on` */
export function lines(stream) {
  const waiting = [];
  const heard = [];
  let rest = "";
  stream.setEncoding("utf8").on("data", (text) => {
    rest += text;
    for (let at = rest.indexOf("\n"); at >= 0; at = rest.indexOf("\n")) {
      const message = JSON.parse(rest.slice(0, at));
      rest = rest.slice(at + 1);
      const found = waiting.findIndex(({ on }) => on === message.on);
      if (found < 0) heard.push(message);
      else waiting.splice(found, 1)[0].resolve(message);
    }
  });
  return (on) => {
    const found = heard.findIndex((message) => message.on === on);
    if (found >= 0) return Promise.resolve(heard.splice(found, 1)[0]);
    return new Promise((resolve) => waiting.push({ on, resolve }));
  };
}

const summary = ({ asked, answered, latencies, seconds, requests, answers, repeats, refused }) => ({
  asked,
  answered,
  refused,
  ...figures(latencies),
  perSecond: answered > 1 ? Math.round(answered / seconds) : undefined,
  ecpdus: { requests, answers, repeats },
});

export function figures(times) {
  const sorted = [...times].sort((a, b) => a - b);
  const at = (p) => {
    const value = sorted[Math.min(sorted.length - 1, Math.ceil(p * sorted.length) - 1)];
    return value === undefined ? undefined : Math.round(value * 100) / 100;
  };
  return { p50Ms: at(0.5), p99Ms: at(0.99), maxMs: at(1) };
}
