import { execFile, spawn } from "node:child_process";
import { promisify } from "node:util";
import { after } from "../nva/rig.mjs";
import { setOffload, vmIps } from "./rig.mjs";
import { byTurns, medianOf, ratioOf } from "./rounds.mjs";
import { FLOOR, sideOf, TUNED } from "./sides.mjs";

const BUDGET_MS = 80_000;

/** One TCP connection by iperf3, a second each: with large segments that nobody has to split, and with none of them. */
export async function tcp(rigs, rounds) {
  const servers = [...rigs.values()].map((rig) =>
    spawn(...inVm(rig, "vm2", 1, ["-s"]), { stdio: "ignore" }),
  );
  try {
    await after(500);
    const splitting = [...rigs].filter(([, { offload }]) => offload).map(([name]) => name);
    const large = await measure(rigs, splitting, rounds);
    for (const name of splitting) await offloads(rigs.get(name), false);
    const mss = await measure(rigs, [...rigs.keys()], rounds);
    for (const name of splitting) await offloads(rigs.get(name), true);
    const rows = [...rigs.keys()].map((name) => ({
      name,
      what: sideOf(name).what,
      large: figures(large, name),
      mss: figures(mss, name),
    }));
    return { rows, rounds: { large: Object.fromEntries(large), mss: Object.fromEntries(mss) } };
  } finally {
    for (const server of servers) server.kill("SIGKILL");
  }
}

const measure = (rigs, names, rounds) =>
  byTurns(names, rounds, BUDGET_MS, (name) => transfer(rigs.get(name)));

async function transfer(rig) {
  const others = rig.cpuNs?.() ?? 0;
  const [command, words] = inVm(rig, "vm1", 0, ["-c", vmIps[1], "-t", "1", "-J"]);
  const { stdout } = await promisify(execFile)(command, words);
  const { end } = JSON.parse(stdout);
  const { bytes, bits_per_second: bitsPerSecond, seconds } = end.sum_received;
  const { host_total: sender, remote_total: receiver } = end.cpu_utilization_percent;
  const cpuSeconds = ((sender + receiver) / 100) * seconds + ((rig.cpuNs?.() ?? 0) - others) / 1e9;
  return { gbitPerSecond: bitsPerSecond / 1e9, cpuSecondsPerGb: cpuSeconds / (bytes / 1e9) };
}

function figures(all, name) {
  const of = all.get(name);
  if (of === undefined) return undefined;
  const rate = ({ gbitPerSecond }) => gbitPerSecond;
  return {
    gbitPerSecond: medianOf(of, rate),
    ofFloor: ratioOf(of, all.get(FLOOR), rate),
    ofTuned: ratioOf(of, all.get(TUNED), rate),
    cpuSecondsPerGb: medianOf(of, ({ cpuSecondsPerGb }) => cpuSecondsPerGb),
    cpuOfTuned: ratioOf(of, all.get(TUNED), ({ cpuSecondsPerGb }) => 1 / cpuSecondsPerGb),
  };
}

const inVm = (rig, place, cpu, words) => [
  "nsenter",
  [`--net=/run/netns/${rig.name(place)}`, "taskset", "-c", String(cpu), "iperf3", ...words],
];

async function offloads(rig, isOn) {
  for (const place of ["vm1", "vm2"]) await setOffload(rig, place, isOn);
}
