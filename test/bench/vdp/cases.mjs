import { fileURLToPath } from "node:url";
import { port, run, start, startLldpad, startSwitchAgent, timers, until } from "./rig.mjs";
import { listen } from "./wire.mjs";

const file = (name) => fileURLToPath(new URL(`./${name}.mjs`, import.meta.url));
const node = (name, argument) => [process.execPath, file(name), JSON.stringify(argument)];

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
export async function runCase(rig, { station, bridge, vsis, vns }) {
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
    const asking = ask({ first: 0, count: vsis, vns });
    await wire.answers(vsis, QUIET_MS);
    await asking;
    const burst = wire.take();
    // With all of them there, some more, one by one.
    const single = [];
    let sequential;
    for (let n = 0; n < SINGLES; n++) {
      await ask({ first: 40_000 + n, count: 1, vns });
      await wire.answers(1, 1000);
      const one = wire.take();
      single.push(...one.latencies);
      sequential = one;
    }
    return {
      station,
      bridge,
      vsis,
      vns,
      burst: summary(burst),
      then: figures(single),
      last: sequential?.asked,
    };
  } finally {
    for (const program of running.reverse()) await program.stop();
  }
}

const QUIET_MS = 3000;
const SINGLES = 50;

const stations = {
  lldpad: async (rig, running) => {
    running.push(await startLldpad(rig, "station", "station"));
    await until("EVB at lldpad's station", async () =>
      /bgid/.test(
        await run(rig, "station", "lldptool", "-t", "-n", "-i", port(0), "-g", "ncb", "-V", "evb"),
      ),
    );
    await new Promise((resolve) => setTimeout(resolve, 1500));
    return async ({ first, count, vns }) => {
      const words = [process.execPath, file("lldpad-client"), port(0), count, first, vns];
      await run(rig, "station", ...words.map(String));
    };
  },
  scripted: async (rig, running) => {
    return async (what) => {
      const argument = { name: port(0), timers, ...what };
      const stdio = ["pipe", "pipe", "inherit"];
      const program = start(rig, "station", "scripted", node("scripted", argument), { stdio });
      running.push({ stop: () => program.child.stdin.end() });
      await new Promise((resolve) => program.child.stdout.once("data", resolve));
      await new Promise((resolve) => setTimeout(resolve, what.count === 1 ? 20 : 1500));
      program.child.stdin.write("go\n");
    };
  },
  ours: async (rig, running) => {
    const stdio = ["pipe", "pipe", "inherit"];
    const words = profiled(node("station", { ports: [port(0)], timers }));
    const program = start(rig, "station", "station", words, { stdio });
    const told = lines(program.child.stdout);
    running.push({
      stop: async () => {
        program.child.stdin.end();
        await program.stop();
      },
    });
    await told("started");
    const tell = (command) => program.child.stdin.write(`${JSON.stringify(command)}\n`);
    await until("EVB at our station", async () => {
      tell({ do: "ready" });
      return (await told("ready")).ready;
    });
    return async (what) => tell({ do: "attach", ...what });
  },
};

export function profiled([program, ...words]) {
  const folder = process.env.BENCH_PROFILE;
  if (folder === undefined) return [program, ...words];
  return [program, "--cpu-prof", `--cpu-prof-dir=${folder}/station`, ...words];
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
